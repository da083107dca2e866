/** The functions of the application and of its components, by their paths. */
import { FunctionError, SystemError } from "./errors.mjs";
import { validate } from "./validation.mjs";

export class Modules {
  #components;
  #library;

  constructor(components, library) {
    this.#components = new Map(components.map((one) => [one.path, one.modules]));
    this.#library = library;
  }

  /** Returns { component, path, found, kind }; both are null where there is no such function. */
  async find(component, path) {
    const [file, name = "default"] = path.split(":");
    const module = file.replace(/\.js$/, "");
    if (!/^[\w./]+$/.test(module)) {
      throw new SystemError(400, "BadConvexFunctionIdentifier", `${path} is not a valid path to a Convex function.`);
    }
    const load = module.startsWith("_") ? undefined : this.#components.get(component)?.[`./${module}.js`];
    const found = (await load?.())?.[name] ?? null;
    return { component, path: `${module}:${name}`, found, kind: kindOf(found) };
  }

  /** The arguments of a call from outside. */
  parse({ found, path, component }, jsonArgs) {
    const json = Array.isArray(jsonArgs) ? (jsonArgs[0] ?? {}) : jsonArgs;
    let args;
    try {
      args = this.#library.jsonToConvex(json);
    } catch (error) {
      throw new FunctionError(`Invalid arguments for ${path}: ${error.message}`);
    }
    validate(JSON.parse(found.exportArgs()), args, component);
    return args;
  }

  /** Throws what Convex throws where a function names another that is not there, or not for it. */
  async requireTarget({ component, path, isForeign, isHandle }, jsonArgs) {
    if (!isForeign && !isHandle) return; // convex-test says what is wrong
    const { found, kind } = await this.find(component, path);
    if (isHandle && kind === null) throw new Error("FunctionHandleNotFound: Function handle not found");
    if (!this.#components.has(component)) {
      throw new Error(`InvalidReference: Child component ${component} not found`);
    }
    if (!isHandle && (kind === null || found.isInternal)) {
      throw new Error(`InvalidReference: Child component ${component} does not export ${path}`);
    }
    if (isForeign) validate(JSON.parse(found.exportArgs()), this.#library.jsonToConvex(jsonArgs), component);
  }
}

function kindOf(found) {
  return found?.isQuery ? "Query" : found?.isMutation ? "Mutation" : found?.isAction ? "Action" : null;
}
