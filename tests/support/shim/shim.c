/*
 * Preloaded into the daemon by the tests: counts the libc calls with an outside effect, kills the
 * process at the N-th of them, and makes calls on chosen files fail as a disk would.
 *
 * Counted are effects on the journal's folder and below the watched root (writes, syncs, renames,
 * deletions, creations), and what goes to or comes from the remotes' ports. Everything else (logs,
 * wake-ups between threads, the status endpoint) passes untouched.
 *
 * SHIM_BOARD names a file that both sides map: tests/support/shim/board.py is its other reader.
 * SHIM_JOURNAL, SHIM_ROOT: folders, absolute, without a final slash. SHIM_PORTS: "8333,3210".
 * Nothing happens before shim_arm() was called; a forked life calls it, its parent never does.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum target { NOTHING = 0, JOURNAL = 1, ROOT = 2, REMOTE = 4 };
enum how { BEFORE = 1, AFTER = 2, TORN = 3 };
enum group { WRITE = 1, SYNC = 2, NAME = 4, READ = 8, OPEN = 16 };
enum { SHORT = -1 }; /* instead of an errno: half of the bytes are done, and said so */

/* All fields are 8 bytes; board.py lists them in this order. */
struct board {
  _Atomic int64_t count;                               /* effects so far */
  _Atomic int64_t kill_at, kill_how, killed;           /* the N-th, an enum how, 1 once it is done */
  _Atomic int64_t fail_with, fail_targets, fail_groups; /* an errno or SHORT; 0: nothing fails */
  _Atomic int64_t fail_from, fail_times, matching, failed; /* the first call, how many (-1: all) */
  char where[64];                                      /* the call that was killed, for people */
};

static struct board *board;
static char journal[4096], root[4096];
static size_t journal_length, root_length;
static int ports[8], port_count;

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) {
  void *found = dlsym(RTLD_NEXT, name);
  if (!found) abort();
  return found;
}

static size_t folder(const char *variable, char *into, size_t size) {
  const char *value = getenv(variable);
  return value ? (size_t)snprintf(into, size, "%s/", value) : 0;
}

int shim_arm(void) {
  const char *path = getenv("SHIM_BOARD"), *list = getenv("SHIM_PORTS");
  int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0) return -1;
  journal_length = folder("SHIM_JOURNAL", journal, sizeof journal);
  root_length = folder("SHIM_ROOT", root, sizeof root);
  for (port_count = 0; list && *list && port_count < 8; port_count++) {
    char *end;
    ports[port_count] = (int)strtol(list, &end, 10);
    list = *end ? end + 1 : end;
  }
  void *map = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  syscall(SYS_close, fd);
  if (map == MAP_FAILED) return -1;
  board = map;
  return 0;
}

/* -- what a call is about ---------------------------------------------------------------------- */

static enum target of_text(const char *path) {
  if (journal_length && !strncmp(path, journal, journal_length)) return JOURNAL;
  if (root_length && !strncmp(path, root, root_length)) return ROOT;
  return NOTHING;
}

static ssize_t name_of(int fd, char *into, size_t size) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, into, size - 1);
  if (length >= 0) into[length] = 0;
  return length;
}

static enum target of_path(int dirfd, const char *path) {
  if (!board || !path) return NOTHING;
  if (path[0] == '/') return of_text(path);
  char whole[8192];
  int saved = errno;
  ssize_t length = dirfd == AT_FDCWD ? -1 : name_of(dirfd, whole, 4096);
  errno = saved;
  if (length < 0) return NOTHING; /* nothing here works with a current folder */
  snprintf(whole + length, sizeof whole - (size_t)length, "/%s", path);
  return of_text(whole);
}

static enum target of_socket(int fd) {
  struct sockaddr_in peer;
  socklen_t length = sizeof peer;
  if (getpeername(fd, (struct sockaddr *)&peer, &length) || peer.sin_family != AF_INET) return NOTHING;
  for (int i = 0; i < port_count; i++)
    if (ports[i] == ntohs(peer.sin_port)) return REMOTE;
  return NOTHING;
}

static enum target of_fd(int fd) {
  if (!board) return NOTHING;
  int saved = errno;
  struct stat found;
  char path[4096];
  enum target target = NOTHING;
  if (!fstat(fd, &found)) {
    if (S_ISSOCK(found.st_mode)) target = of_socket(fd);
    else if ((S_ISREG(found.st_mode) || S_ISDIR(found.st_mode)) && name_of(fd, path, sizeof path) > 0)
      target = of_text(path);
  }
  errno = saved;
  return target;
}

/* -- killing ----------------------------------------------------------------------------------- */

static _Noreturn void die(const char *call, enum target target) {
  static const char *names[] = {[JOURNAL] = "journal", [ROOT] = "root", [REMOTE] = "remote"};
  snprintf(board->where, sizeof board->where, "%s on %s", call, names[target]);
  atomic_store(&board->killed, 1);
  syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
  for (;;) syscall(SYS_pause);
}

/* Returns how this effect ends: 0 as ever. A kill before it happens here. */
static enum how enter(const char *call, enum target target) {
  if (target == NOTHING) return 0;
  int64_t number = atomic_fetch_add(&board->count, 1) + 1;
  if (number != atomic_load(&board->kill_at)) return 0;
  enum how how = (enum how)atomic_load(&board->kill_how);
  if (how == BEFORE) die(call, target);
  return how;
}

/* -- failing ----------------------------------------------------------------------------------- */

/* Returns 0, an errno, or SHORT. */
static int failure(enum target target, enum group group) {
  if (target == NOTHING) return 0;
  int with = (int)atomic_load(&board->fail_with);
  if (!with || !(target & atomic_load(&board->fail_targets)) || !(group & atomic_load(&board->fail_groups)))
    return 0;
  int64_t number = atomic_fetch_add(&board->matching, 1) + 1, from = atomic_load(&board->fail_from);
  int64_t times = atomic_load(&board->fail_times);
  if (number < from || (times >= 0 && number >= from + times)) return 0;
  atomic_fetch_add(&board->failed, 1);
  return with;
}

#define FAIL(subject, group)                      \
  do {                                            \
    int with = failure((subject), (group));       \
    if (with > 0) {                               \
      errno = with;                               \
      return -1;                                  \
    }                                             \
  } while (0)

/* A call without bytes: `expression` is the real one. */
#define EFFECT(call, subject, group, expression)          \
  do {                                                    \
    enum target about = (subject);                        \
    FAIL(about, group);                                   \
    enum how how = enter(call, about);                    \
    __typeof__(expression) result = (expression);         \
    if (how) die(call, about);                            \
    return result;                                        \
  } while (0)

/* -- writes: `half` is the real call with half of the bytes -------------------------------------- */

#define WRITING(call, fd, size, whole, half)                     \
  do {                                                           \
    enum target about = of_fd(fd);                               \
    int with = failure(about, WRITE);                            \
    if (with > 0) {                                              \
      errno = with;                                              \
      return -1;                                                 \
    }                                                            \
    if (with == SHORT && (size) > 1) return (half);              \
    enum how how = enter(call, about);                           \
    ssize_t result = how == TORN && (size) > 1 ? (half) : (whole); \
    if (how) die(call, about);                                   \
    return result;                                               \
  } while (0)

ssize_t write(int fd, const void *data, size_t size) {
  WRITING("write", fd, size, REAL(write)(fd, data, size), REAL(write)(fd, data, size / 2));
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
  WRITING("pwrite", fd, size, REAL(pwrite)(fd, data, size, at), REAL(pwrite)(fd, data, size / 2, at));
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
  WRITING("pwrite", fd, size, REAL(pwrite64)(fd, data, size, at), REAL(pwrite64)(fd, data, size / 2, at));
}

static size_t total(const struct iovec *pieces, int count) {
  size_t size = 0;
  for (int i = 0; i < count; i++) size += pieces[i].iov_len;
  return size;
}

static ssize_t write_half(int fd, const struct iovec *pieces, int count) {
  size_t left = total(pieces, count) / 2;
  ssize_t done = 0;
  for (int i = 0; i < count && left; i++) {
    size_t some = pieces[i].iov_len < left ? pieces[i].iov_len : left;
    ssize_t result = REAL(write)(fd, pieces[i].iov_base, some);
    if (result < 0) return done ? done : result;
    done += result;
    left -= some;
  }
  return done;
}

ssize_t writev(int fd, const struct iovec *pieces, int count) {
  WRITING("writev", fd, total(pieces, count), REAL(writev)(fd, pieces, count), write_half(fd, pieces, count));
}

ssize_t send(int fd, const void *data, size_t size, int flags) {
  WRITING("send", fd, size, REAL(send)(fd, data, size, flags), REAL(send)(fd, data, size / 2, flags));
}

ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t length) {
  WRITING("sendto", fd, size, REAL(sendto)(fd, data, size, flags, to, length),
          REAL(sendto)(fd, data, size / 2, flags, to, length));
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
  WRITING("sendmsg", fd, total(message->msg_iov, (int)message->msg_iovlen), REAL(sendmsg)(fd, message, flags),
          write_half(fd, message->msg_iov, (int)message->msg_iovlen));
}

/* -- other effects on files ---------------------------------------------------------------------- */

int fsync(int fd) { EFFECT("fsync", of_fd(fd), SYNC, REAL(fsync)(fd)); }
int fdatasync(int fd) { EFFECT("fdatasync", of_fd(fd), SYNC, REAL(fdatasync)(fd)); }
int ftruncate(int fd, off_t size) { EFFECT("ftruncate", of_fd(fd), WRITE, REAL(ftruncate)(fd, size)); }
int ftruncate64(int fd, off64_t size) { EFFECT("ftruncate", of_fd(fd), WRITE, REAL(ftruncate64)(fd, size)); }
int rename(const char *from, const char *to) {
  EFFECT("rename", of_path(AT_FDCWD, from), NAME, REAL(rename)(from, to));
}
int renameat(int fromdir, const char *from, int todir, const char *to) {
  EFFECT("renameat", of_path(fromdir, from), NAME, REAL(renameat)(fromdir, from, todir, to));
}
int unlink(const char *path) { EFFECT("unlink", of_path(AT_FDCWD, path), NAME, REAL(unlink)(path)); }
int unlinkat(int dirfd, const char *path, int flags) {
  EFFECT("unlinkat", of_path(dirfd, path), NAME, REAL(unlinkat)(dirfd, path, flags));
}
int mkdir(const char *path, mode_t mode) {
  EFFECT("mkdir", of_path(AT_FDCWD, path), NAME, REAL(mkdir)(path, mode));
}

/* Only an open that may create is an effect; any may fail. */
#define OPENING(subject, expression)                                     \
  do {                                                                   \
    enum target about = (subject);                                       \
    mode_t mode = 0;                                                     \
    if (flags & (O_CREAT | O_TMPFILE)) {                                 \
      va_list rest;                                                      \
      va_start(rest, flags);                                             \
      mode = va_arg(rest, mode_t);                                       \
      va_end(rest);                                                      \
    }                                                                    \
    FAIL(about, OPEN);                                                   \
    enum how how = flags & (O_CREAT | O_TRUNC) ? enter("open", about) : 0; \
    int result = (expression);                                           \
    if (how) die("open", about);                                         \
    return result;                                                       \
  } while (0)

int open(const char *path, int flags, ...) {
  OPENING(of_path(AT_FDCWD, path), REAL(open)(path, flags, mode));
}
int open64(const char *path, int flags, ...) {
  OPENING(of_path(AT_FDCWD, path), REAL(open64)(path, flags, mode));
}
int openat(int dirfd, const char *path, int flags, ...) {
  OPENING(of_path(dirfd, path), REAL(openat)(dirfd, path, flags, mode));
}
int openat64(int dirfd, const char *path, int flags, ...) {
  OPENING(of_path(dirfd, path), REAL(openat64)(dirfd, path, flags, mode));
}

/* -- reads: of a remote's answer an effect (it may be lost after it came); of a file they may fail -- */

static ssize_t taken(const char *call, int fd, ssize_t result) {
  if (result <= 0 || !board) return result;
  enum target target = of_fd(fd);
  if (target == REMOTE && enter(call, target)) die(call, target);
  return result;
}

#define READING(call, fd, expression)       \
  do {                                      \
    FAIL(of_fd(fd), READ);                  \
    return taken(call, fd, (expression));   \
  } while (0)

#define READING_BYTES(call, fd, size, whole, half)        \
  do {                                                    \
    int with = failure(of_fd(fd), READ);                  \
    if (with > 0) {                                       \
      errno = with;                                       \
      return -1;                                          \
    }                                                     \
    if (with == SHORT && (size) > 1) return (half);       \
    return taken(call, fd, (whole));                      \
  } while (0)

ssize_t read(int fd, void *data, size_t size) {
  READING_BYTES("read", fd, size, REAL(read)(fd, data, size), REAL(read)(fd, data, size / 2));
}
ssize_t pread(int fd, void *data, size_t size, off_t at) {
  READING_BYTES("pread", fd, size, REAL(pread)(fd, data, size, at), REAL(pread)(fd, data, size / 2, at));
}
ssize_t pread64(int fd, void *data, size_t size, off64_t at) {
  READING_BYTES("pread", fd, size, REAL(pread64)(fd, data, size, at), REAL(pread64)(fd, data, size / 2, at));
}
ssize_t readv(int fd, const struct iovec *pieces, int count) {
  READING("readv", fd, REAL(readv)(fd, pieces, count));
}
ssize_t recv(int fd, void *data, size_t size, int flags) {
  READING("recv", fd, REAL(recv)(fd, data, size, flags));
}
ssize_t recvfrom(int fd, void *data, size_t size, int flags, struct sockaddr *from, socklen_t *length) {
  READING("recvfrom", fd, REAL(recvfrom)(fd, data, size, flags, from, length));
}
ssize_t recvmsg(int fd, struct msghdr *message, int flags) {
  READING("recvmsg", fd, REAL(recvmsg)(fd, message, flags));
}
