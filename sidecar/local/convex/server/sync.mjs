/** Convex's WebSocket sync protocol, as far as the JavaScript and Python clients speak it. */
import { randomBytes } from "node:crypto";
import { WebSocketServer } from "ws";
import { FunctionError } from "./errors.mjs";
import { touches } from "./tap.mjs";
import { Wire } from "./wire.mjs";

const PATH = /^\/api\/([0-9.]+(-[^/]*)?\/)?sync$/;
const GATHER_MS = 1;
const PING_MS = 15_000;

export function attachSync(server, { backend, identities, options }) {
  const wire = new Wire(backend.convexToJson, options);
  const sockets = new WebSocketServer({ noServer: true });
  const clients = new Set();
  server.on("upgrade", (request, socket, head) => {
    if (!PATH.test(new URL(request.url, "http://local").pathname)) return socket.destroy();
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      const client = new Client(webSocket, { backend, identities, wire });
      clients.add(client);
      webSocket.on("close", () => clients.delete(client));
    });
  });
  backend.onDeploy = () => clients.forEach((client) => client.rerun());
  backend.onCommit = gather((writes) => clients.forEach((client) => client.wake(writes)));
  setInterval(() => clients.forEach((client) => client.send({ type: "Ping" })), PING_MS).unref();
}

/** Commits of one moment wake subscriptions once. */
function gather(wake) {
  let gathered = [];
  return (writes) => {
    if (gathered.length === 0) {
      setTimeout(() => {
        const all = gathered;
        gathered = [];
        wake(all);
      }, GATHER_MS);
    }
    gathered.push(...writes);
  };
}

let clock = BigInt(Date.now()) * 1_000_000n;
const tick = () => ++clock;

class Client {
  #socket;
  #backend;
  #identities;
  #wire;
  #identity;
  #queries = new Map(); // id -> { udfPath, args, reads }
  #version = { querySet: 0, identity: 0, ts: 0n };
  #chain = Promise.resolve(); // messages are handled one after the other

  constructor(socket, { backend, identities, wire }) {
    this.#socket = socket;
    this.#backend = backend;
    this.#identities = identities;
    this.#wire = wire;
    this.#identity = null;
    socket.on("message", (text) => this.#next(() => this.#handle(JSON.parse(text))));
  }

  send(message) {
    if (this.#socket.readyState !== 1) return;
    this.#socket.send(typeof message === "string" ? message : JSON.stringify(message));
  }

  wake(writes) {
    this.#next(async () => {
      const hit = [...this.#queries]
        .filter(([, { reads }]) => reads.some((read) => writes.some((write) => touches(write, read))))
        .map(([id]) => id);
      if (hit.length > 0) await this.#transition(hit);
    });
  }

  rerun() {
    this.#next(() => this.#transition([...this.#queries.keys()]));
  }

  #next(step) {
    this.#chain = this.#chain
      .then(step)
      .catch((error) => this.send({ type: "FatalError", error: String(error?.message ?? error) }));
  }

  async #handle(message) {
    switch (message.type) {
      case "Authenticate":
        return await this.#authenticate(message);
      case "ModifyQuerySet":
        return await this.#modify(message);
      case "Mutation":
      case "Action":
        return await this.#run(message);
    }
  }

  async #authenticate({ tokenType, value, baseVersion }) {
    try {
      if (tokenType === "Admin") this.#identity = this.#identities.ofAdminKey(value);
      else this.#identity = tokenType === "User" ? await this.#identities.ofToken(value) : null;
    } catch (error) {
      return this.send({ type: "AuthError", error: error.message, baseVersion, authUpdateAttempted: true });
    }
    await this.#transition([...this.#queries.keys()], { identity: baseVersion + 1 });
  }

  async #modify({ modifications, newVersion }) {
    const added = modifications.filter(({ type }) => type === "Add");
    const removed = modifications.filter(({ type }) => type === "Remove");
    for (const { queryId, udfPath, args } of added) this.#queries.set(queryId, { udfPath, args, reads: [] });
    for (const { queryId } of removed) this.#queries.delete(queryId);
    const ids = (list) => list.map(({ queryId }) => queryId);
    await this.#transition(ids(added), { querySet: newVersion }, ids(removed));
  }

  async #run({ type, requestId, udfPath, args }) {
    const { value, error, trace } = await this.#invoke(type, udfPath, args);
    const head = `"type":"${type}Response","requestId":${requestId},"logLines":${this.#wire.logLines(trace)}`;
    if (error) {
      const text = JSON.stringify(this.#errorText(error));
      return this.send(`{${head},"success":false,"result":${text}${this.#wire.errorData(error, "encoded")}}`);
    }
    const ts = tick();
    const stamp = type === "Mutation" ? `,"ts":"${base64(ts)}"` : "";
    this.send(`{${head},"success":true,"result":${this.#wire.encode(value, "encoded")}${stamp}}`);
    if (type === "Mutation") await this.#transition([], {}, [], ts);
  }

  async #invoke(kind, path, args) {
    const identity = this.#identity ?? this.#identities.ofNobody(args[0]);
    try {
      return await this.#backend.invoke(kind, path, args, identity);
    } catch (error) {
      return { error: new FunctionError(error.message), trace: { logs: [], reads: [] } };
    }
  }

  #errorText(error) {
    return this.#wire.errorText(error, randomBytes(8).toString("hex"));
  }

  async #transition(ids, versions = {}, removed = [], ts = tick()) {
    const changes = removed.map((id) => `{"type":"QueryRemoved","queryId":${id}}`);
    for (const id of ids) changes.push(await this.#change(id));
    const start = this.#version;
    this.#version = { ...start, ...versions, ts: ts > start.ts ? ts : tick() };
    const span = `"startVersion":${show(start)},"endVersion":${show(this.#version)}`;
    this.send(`{"type":"Transition",${span},"modifications":[${changes.join(",")}]}`);
  }

  async #change(id) {
    const query = this.#queries.get(id);
    const { value, error, trace } = await this.#invoke("Query", query.udfPath, query.args);
    query.reads = trace.reads;
    const tail = `"logLines":${this.#wire.logLines(trace)},"journal":null`;
    if (!error) {
      return `{"type":"QueryUpdated","queryId":${id},"value":${this.#wire.encode(value, "encoded")},${tail}}`;
    }
    const data = this.#wire.errorData(error, "encoded");
    const message = JSON.stringify(this.#errorText(error));
    return `{"type":"QueryFailed","queryId":${id},"errorMessage":${message},${tail}${data}}`;
  }
}

const show = ({ querySet, identity, ts }) => `{"querySet":${querySet},"identity":${identity},"ts":"${base64(ts)}"}`;

function base64(number) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(number));
  return bytes.toString("base64");
}
