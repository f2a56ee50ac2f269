/** More objects than the program has, so that a mistake here ends. */
const maxObjects = 100_000;

/**
 * Does to every class within reach of `root` what its first instance would do to it: at the store of a new field the
 * interpreter notes in the class that it has no `__newindex`. Done before the first fork, that is a page for each class
 * that all shims go on sharing, instead of one of each shim's own.
 */
export function warmClasses(root: AnyNotNil): void {
  for (const object of reachableFrom(root)) {
    if (type(object) !== "table") continue;
    const prototype: unknown = rawget(object as Record<string, unknown>, "prototype");
    if (type(prototype) !== "table") continue;
    const instance = setmetatable({ first: true }, prototype as LuaMetatable<object>) as { second?: boolean };
    instance.second = true;
  }
}

/** All tables and functions that `root` leads to, through fields and upvalues. */
function reachableFrom(root: AnyNotNil): readonly AnyNotNil[] {
  const found: AnyNotNil[] = [];
  const seen = new LuaTable<AnyNotNil, true>();
  const add = (value: unknown): void => {
    const kind = type(value);
    if ((kind !== "table" && kind !== "function") || found.length === maxObjects) return;
    const object = value as AnyNotNil;
    if (seen.has(object)) return;
    seen.set(object, true);
    found.push(object);
  };
  add(root);
  // It grows meanwhile.
  for (let index = 0; index < found.length; index++) {
    const object = found[index];
    if (type(object) === "function") addUpvalues(object as (this: void) => void, add);
    else for (const [, value] of pairs(object as object)) add(value);
  }
  return found;
}

function addUpvalues(from: (this: void) => void, add: (value: unknown) => void): void {
  for (let index = 1; ; index++) {
    const [name, value] = debug.getupvalue(from, index);
    if (name === undefined) return;
    add(value);
  }
}
