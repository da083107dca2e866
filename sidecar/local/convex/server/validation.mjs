/** Checks arguments with the messages of the real backend. */
import { FunctionError } from "./errors.mjs";
import { isIdOf } from "./prefixes.mjs";

const PREDICATES = {
  any: () => true,
  null: (value) => value === null,
  number: (value) => typeof value === "number",
  bigint: (value) => typeof value === "bigint",
  boolean: (value) => typeof value === "boolean",
  string: (value) => typeof value === "string",
  id: (value) => typeof value === "string",
  bytes: (value) => value instanceof ArrayBuffer,
  array: (value) => Array.isArray(value),
  record: isPlainObject,
  object: isPlainObject,
};

/** Throws FunctionError where `value` does not match; ids are those of the component at `componentPath`. */
export function validate(validator, value, componentPath = "", path = "") {
  const inner = (member, item, at) => validate(member, item, componentPath, at);
  if (validator.type === "literal") return validateLiteral(validator, value, path);
  if (validator.type === "union") return validateUnion(validator, value, path, inner);
  if (!PREDICATES[validator.type](value)) refuse(validator, value, path);
  if (validator.type === "id" && !isIdOf(componentPath, validator.tableName, value)) refuse(validator, value, path);
  if (validator.type === "array") value.forEach((item, i) => inner(validator.value, item, `${path}[${i}]`));
  if (validator.type === "record") {
    const values = validator.values.fieldType ?? validator.values;
    for (const [key, item] of Object.entries(value)) inner(values, item, `${path}.${key}`);
  }
  if (validator.type === "object") validateFields(validator, value, path, inner);
}

function isPlainObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof ArrayBuffer);
}

const context = (path) => (path ? `\nPath: ${path}` : "");
const wrong = (text) => new FunctionError(`ArgumentValidationError: ${text}`);

function refuse(validator, value, path) {
  throw wrong(
    `Value does not match validator.${context(path)}\nValue: ${show(value)}\nValidator: ${describe(validator)}`,
  );
}

function validateLiteral(validator, value, path) {
  if (value === validator.value) return;
  const literal = `v.literal(${show(validator.value)})`;
  throw wrong(`\`${show(value)}\` does not match literal validator \`${literal}\`.${context(path)}`);
}

function validateUnion(validator, value, path, inner) {
  const matches = validator.value.some((member) => {
    try {
      inner(member, value, path);
      return true;
    } catch (error) {
      if (error instanceof FunctionError) return false;
      throw error;
    }
  });
  if (!matches) refuse(validator, value, path);
}

function validateFields(validator, value, path, inner) {
  const seen = `${context(path)}\nObject: ${show(value)}\nValidator: ${describe(validator)}`;
  for (const [key, field] of Object.entries(validator.value)) {
    if (value[key] !== undefined) inner(field.fieldType, value[key], `${path}.${key}`);
    else if (!field.optional) {
      throw wrong(
        `Object is missing the required field \`${key}\`. Consider wrapping the field validator in ` +
          `\`v.optional(...)\` if this is expected.${seen}`,
      );
    }
  }
  const extra = Object.keys(value).find((key) => !(key in validator.value));
  if (extra !== undefined) {
    throw wrong(`Object contains extra field \`${extra}\` that is not in the validator.${seen}`);
  }
}

function show(value) {
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "number" && Number.isInteger(value)) return `${value}.0`;
  return JSON.stringify(value, (_, inner) => (typeof inner === "bigint" ? `${inner}n` : inner));
}

function describe(validator) {
  switch (validator.type) {
    case "number":
      return "v.float64()";
    case "bigint":
      return "v.int64()";
    case "id":
      return `v.id("${validator.tableName}")`;
    case "literal":
      return `v.literal(${show(validator.value)})`;
    case "array":
      return `v.array(${describe(validator.value)})`;
    case "union":
      return `v.union(${validator.value.map(describe).join(", ")})`;
    case "object":
      return `v.object({${Object.entries(validator.value).map(describeField).join(", ")}})`;
    default:
      return `v.${validator.type}()`;
  }
}

function describeField([key, { optional, fieldType }]) {
  return `${key}: ${optional ? `v.optional(${describe(fieldType)})` : describe(fieldType)}`;
}
