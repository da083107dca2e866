/* A line that adds a round trip: delay LISTEN_PORT TARGET_PORT ROUND_TRIP_MS
 *
 * What comes leaves half a round trip later, both ways. A new connection is used a whole one later, as a
 * handshake takes. A direction holds at most WINDOW bytes, the most that Linux lets one TCP connection have under
 * way by default; nothing else limits the rate. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { WINDOW = 6 << 20, PIECE = 128 << 10, EVENTS = 256 };

struct line;
struct end { struct line *line; int fd; uint32_t asked; };
struct piece { struct piece *next; int64_t due; struct line *line; int from; size_t size, sent; char bytes[]; };
struct queue { struct piece *first, *last; };
struct line {
  struct end ends[2];      /* 0 is whoever connected */
  struct queue ready[2];   /* due, and on its way out of the other end */
  size_t held[2];          /* bytes that came from this end and are still here */
  int ended[2], finished[2], under_way, is_open, is_closed;
  int64_t opens;
  struct line *next;
};

static int poller, timer, target;
static int64_t half;
static struct queue travelling;           /* all take the same time: the first is due first */
static struct line *opening, *opening_last;
static struct line *dead;                 /* closed, with nothing under way; the events at hand may name them */

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void *must(void *p) { if (!p) { perror("delay"); exit(1); } return p; }

static void push(struct queue *q, struct piece *p) {
  p->next = NULL;
  if (q->last) q->last->next = p; else q->first = p;
  q->last = p;
}

static struct piece *pop(struct queue *q) {
  struct piece *p = q->first;
  if (p && !(q->first = p->next)) q->last = NULL;
  return p;
}

static void listen_to(struct line *l, int e) {
  struct epoll_event event = {.data.ptr = &l->ends[e]};
  if (l->is_open && !l->ended[e] && l->held[e] < WINDOW) event.events |= EPOLLIN;
  if (l->ready[!e].first) event.events |= EPOLLOUT;
  if (event.events == l->ends[e].asked) return;
  l->ends[e].asked = event.events;
  epoll_ctl(poller, EPOLL_CTL_MOD, l->ends[e].fd, &event);
}

static void bury(struct line *l) {
  if (l->under_way) return;
  l->next = dead;
  dead = l;
}

static void give_up(struct line *l) {
  for (int e = 0; e < 2; e++) {
    close(l->ends[e].fd);
    for (struct piece *p; (p = pop(&l->ready[e])); free(p)) l->under_way--;
  }
  l->is_closed = 1;
  bury(l);
}

/* Send what is due from one end to the other. */
static void flush(struct line *l, int from) {
  struct queue *q = &l->ready[from];
  for (struct piece *p; !l->is_closed && (p = q->first);) {
    if (!p->size) { shutdown(l->ends[!from].fd, SHUT_WR); l->finished[from] = 1; }
    while (p->sent < p->size) {
      ssize_t n = send(l->ends[!from].fd, p->bytes + p->sent, p->size - p->sent, MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) { listen_to(l, !from); return; }
      if (n < 0) { give_up(l); return; }
      p->sent += n; l->held[from] -= n;
    }
    pop(q); free(p); l->under_way--;
  }
  if (l->is_closed) return;
  if (l->finished[0] && l->finished[1]) { give_up(l); return; }
  listen_to(l, 0); listen_to(l, 1);
}

static void take(struct line *l, int from) {
  static char buffer[PIECE];
  ssize_t n = recv(l->ends[from].fd, buffer, sizeof buffer, 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n < 0) { give_up(l); return; }
  struct piece *p = must(malloc(sizeof *p + n));
  *p = (struct piece){.due = now() + half, .line = l, .from = from, .size = n};
  memcpy(p->bytes, buffer, n);
  l->held[from] += n; l->under_way++;
  if (!n) l->ended[from] = 1;
  push(&travelling, p);
  listen_to(l, from);
}

static int connected(void) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(target), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to)) { close(fd); return -1; }
  return fd;
}

static void accept_one(int listener) {
  int fds[2] = {accept4(listener, NULL, NULL, SOCK_CLOEXEC), -1}, yes = 1;
  if (fds[0] < 0) return;
  if ((fds[1] = connected()) < 0) { close(fds[0]); return; }
  struct line *l = must(calloc(1, sizeof *l));
  for (int e = 0; e < 2; e++) {
    setsockopt(fds[e], IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    struct epoll_event event = {.data.ptr = &l->ends[e]};
    l->ends[e] = (struct end){.line = l, .fd = fds[e]};
    ioctl(fds[e], FIONBIO, &yes);
    epoll_ctl(poller, EPOLL_CTL_ADD, fds[e], &event);
  }
  l->opens = now() + 2 * half;
  if (opening_last) opening_last->next = l; else opening = l;
  opening_last = l;
}

/* Let everything go whose time has come; return when the next is due. */
static int64_t go_on(void) {
  for (struct line *l; (l = dead); free(l)) dead = l->next;
  for (struct line *l; (l = opening) && l->opens <= now();) {
    if (!(opening = l->next)) opening_last = NULL;
    l->is_open = 1;
    listen_to(l, 0); listen_to(l, 1);
  }
  for (struct piece *p; (p = travelling.first) && p->due <= now();) {
    struct line *l = p->line;
    pop(&travelling);
    if (l->is_closed) { free(p); l->under_way--; bury(l); }
    else { push(&l->ready[p->from], p); flush(l, p->from); }
  }
  int64_t next = travelling.first ? travelling.first->due : INT64_MAX;
  return opening && opening->opens < next ? opening->opens : next;
}

static void set_timer(int64_t due) {
  struct itimerspec at = {0};
  if (due != INT64_MAX) { at.it_value.tv_sec = due / 1000000000; at.it_value.tv_nsec = due % 1000000000; }
  timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
}

int main(int count, char **words) {
  if (count != 4) { fprintf(stderr, "delay LISTEN_PORT TARGET_PORT ROUND_TRIP_MS\n"); return 2; }
  target = atoi(words[2]);
  half = (int64_t)(atof(words[3]) * 1e6 / 2);
  signal(SIGPIPE, SIG_IGN);
  poller = epoll_create1(EPOLL_CLOEXEC);
  timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
  struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(atoi(words[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 1024)) { perror("delay"); return 1; }
  struct end own[2] = {{.fd = listener}, {.fd = timer}};
  for (int e = 0; e < 2; e++)
    epoll_ctl(poller, EPOLL_CTL_ADD, own[e].fd, &(struct epoll_event){.events = EPOLLIN, .data.ptr = &own[e]});
  for (;;) {
    struct epoll_event events[EVENTS];
    set_timer(go_on());
    int n = epoll_wait(poller, events, EVENTS, -1);
    for (int i = 0; i < n; i++) {
      struct end *end = events[i].data.ptr;
      struct line *l = end->line;
      if (end == &own[0]) { accept_one(listener); continue; }
      if (end == &own[1]) { uint64_t fired; if (read(timer, &fired, sizeof fired) < 0) continue; continue; }
      if (l->is_closed) continue;
      int e = end == &l->ends[1];
      if (events[i].events & EPOLLOUT) flush(l, !e);
      if (!l->is_closed && l->is_open && !l->ended[e] && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) take(l, e);
      else if (!l->is_closed && l->ended[e] && (events[i].events & EPOLLERR)) give_up(l);
      else if (!l->is_closed && l->ended[e] && (events[i].events & EPOLLHUP))
        epoll_ctl(poller, EPOLL_CTL_DEL, l->ends[e].fd, NULL);   /* it would be told again and again */
    }
  }
}
