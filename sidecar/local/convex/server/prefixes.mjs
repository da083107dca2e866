/**
 * Makes convex-test's indexed reads cost their matches: it scans every document of every table for
 * each. For each set of fields that a query compares for equality, one map from values to ids is kept.
 */
const EMPTY = new Set();
const pending = new WeakMap(); // a transaction's writes -> table -> ids
const states = new WeakMap(); // database -> { ids: table -> Set, maps: table -> fields -> map }
const numbers = new Map(); // path of a component -> its number: each has a database of its own
const IDS_OF_A_COMPONENT = 1e9;

export function patchDatabase(DatabaseFake) {
  const prototype = DatabaseFake.prototype;
  const { commit, queryNext, _addWrite: addWrite, _iterateDocs: iterate, _resolveQuerySource: resolve } = prototype;
  const generateId = prototype._generateId;
  if (![commit, queryNext, addWrite, iterate, resolve, generateId].every(Boolean)) {
    throw new Error("convex-test has changed: see prefixes.mjs");
  }

  // an id means nothing in another component, though both have a table of its name
  prototype._generateId = function (table) {
    const first = numberOf(this.componentPath) * IDS_OF_A_COMPONENT;
    if (this._nextDocId < first) this._nextDocId += first;
    return generateId.call(this, table);
  };

  prototype.commit = function (...args) {
    const writes = this._writes.length === 1 ? Object.keys(this._writes[0]) : [];
    const before = writes.map((id) => this._documents[id]);
    commit.apply(this, args);
    writes.forEach((id, i) => note(this, id, before[i], this._documents[id]));
  };

  prototype._addWrite = function (id, value) {
    addWrite.call(this, id, value);
    const tables = getOrMake(pending, this._writes.at(-1), () => new Map());
    getOrMake(tables, tableOf(id), () => new Set()).add(id);
  };

  prototype._iterateDocs = function (table, callback) {
    if (table.startsWith("_")) return iterate.call(this, table, callback);
    const ids = new Set(candidates(this, table));
    for (const writes of this._writes) {
      for (const id of pending.get(writes)?.get(table) ?? EMPTY) ids.add(id);
    }
    for (const id of ids) {
      const document = this.get(table, id);
      if (document !== null) callback(document);
    }
  };

  prototype._resolveQuerySource = function (query) {
    this.equalities = query.source.type === "IndexRange" ? equalities(query.source.range) : [];
    try {
      return resolve.call(this, query);
    } finally {
      this.equalities = [];
    }
  };

  // convex-test keeps the results of every query for ever
  prototype.queryNext = function (id) {
    const next = queryNext.call(this, id);
    if (next.done) delete this._queryResults[id];
    return next;
  };
}

/** Ids are a padded counter and the table's name. */
export const tableOf = (id) => id.replace(/^\d+/, "");

/** Is this the id of such a document, seen from a component? */
export function isIdOf(componentPath, table, id) {
  return tableOf(id) === table && Math.floor(parseInt(id, 10) / IDS_OF_A_COMPONENT) === numberOf(componentPath);
}

const numberOf = (componentPath) => getOrMake(numbers, componentPath, () => numbers.size);

const isScalar = (value) => value === null || ["string", "number", "boolean"].includes(typeof value);
const equalities = (range) => range.filter((bound) => bound.type === "Eq" && isScalar(bound.value));

function stateOf(db) {
  if (!states.has(db)) states.set(db, { ids: new Map(), maps: new Map() });
  return states.get(db);
}

function candidates(db, table) {
  const { ids, maps } = stateOf(db);
  const all = ids.get(table) ?? EMPTY;
  const wanted = db.equalities ?? [];
  if (wanted.length === 0) return all;
  const fields = wanted.map((bound) => bound.fieldPath);
  const ofTable = getOrMake(maps, table, () => new Map());
  const map = getOrMake(ofTable, fields.join(), () => {
    const made = { fields, byValue: new Map() };
    for (const id of all) add(made, id, db._documents[id]);
    return made;
  });
  return map.byValue.get(JSON.stringify(wanted.map((bound) => bound.value))) ?? EMPTY;
}

function note(db, id, before, after) {
  const table = tableOf(id);
  const { ids, maps } = stateOf(db);
  const all = getOrMake(ids, table, () => new Set());
  if (after === undefined) all.delete(id);
  else all.add(id);
  for (const map of maps.get(table)?.values() ?? []) {
    if (before !== undefined) map.byValue.get(keyOf(map, before))?.delete(id);
    if (after !== undefined) add(map, id, after);
  }
}

/** Moves the documents of a database to another, which is empty; throws where its schema does not take one. */
export function moveDocuments(from, to) {
  for (const [id, { _id, _creationTime, ...fields }] of Object.entries(from._documents)) {
    const table = tableOf(id);
    if (!table.startsWith("_")) validate(to, table, _id, fields);
  }
  const { _documents, _nextDocId, _lastCreationTime, _storage } = from;
  Object.assign(to, { _documents, _nextDocId, _lastCreationTime, _storage });
  for (const [id, document] of Object.entries(_documents)) note(to, id, undefined, document);
}

function validate(db, table, id, fields) {
  try {
    db._validate(table, fields);
  } catch (error) {
    throw new Error(`Document with ID "${id}" in table "${table}" does not match the schema: ${error.message}`);
  }
}

const keyOf = (map, document) => JSON.stringify(map.fields.map((field) => document[field]));

function add(map, id, document) {
  getOrMake(map.byValue, keyOf(map, document), () => new Set()).add(id);
}

function getOrMake(map, key, make) {
  if (!map.has(key)) map.set(key, make());
  return map.get(key);
}
