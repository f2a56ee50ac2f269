import protobuf from "protobufjs";

/**
 * All that a schema says on the wire, each statement under its full path: a field's number is at
 * `runtime.v1.Mount.readonly#number`. Two schemas are wire-identical if and only if their facts are equal.
 */
export type Facts = ReadonlyMap<string, string>;

/** Takes a schema apart into facts. Resolves it first, so it throws where a type is named that doesn't exist. */
export function factsOf(root: protobuf.Root): Facts {
  root.resolveAll();
  const facts = new Map<string, string>();
  for (const object of root.nestedArray) addObject(facts, object);
  return facts;
}

/**
 * Compares two schemas in both directions.
 *
 * @returns one line for each difference, beginning with its full path; none where the two are equal
 */
export function differences(expected: Facts, actual: Facts): string[] {
  const paths = [...new Set([...expected.keys(), ...actual.keys()])].sort();
  return paths
    .filter((path) => expected.get(path) !== actual.get(path))
    .map(
      (path) =>
        `${path}: expected ${expected.get(path) ?? "nothing"}, found ${actual.get(path) ?? "nothing"}`,
    );
}

function addObject(facts: Map<string, string>, object: protobuf.ReflectionObject): void {
  const path = pathOf(object);
  if (object instanceof protobuf.Service) addService(facts, path, object);
  else if (object instanceof protobuf.Type) addMessage(facts, path, object);
  else if (object instanceof protobuf.Enum) addEnum(facts, path, object);
  else if (object instanceof protobuf.Namespace) facts.set(path, "package");
  else throw new Error(`${path}: the comparison knows no ${object.constructor.name}`);
  addOptions(facts, path, object);
  if (object instanceof protobuf.Namespace) {
    for (const nested of object.nestedArray) addObject(facts, nested);
  }
}

function addService(facts: Map<string, string>, path: string, service: protobuf.Service): void {
  facts.set(path, "service");
  for (const method of service.methodsArray) {
    const at = `${path}.${method.name}`;
    facts.set(at, "rpc");
    facts.set(`${at}#request`, nameOf(method.resolvedRequestType, method.requestType));
    facts.set(`${at}#response`, nameOf(method.resolvedResponseType, method.responseType));
    facts.set(`${at}#request-stream`, String(method.requestStream ?? false));
    facts.set(`${at}#response-stream`, String(method.responseStream ?? false));
    addOptions(facts, at, method);
  }
}

function addMessage(facts: Map<string, string>, path: string, message: protobuf.Type): void {
  facts.set(path, "message");
  addReserved(facts, path, message.reserved);
  for (const field of message.fieldsArray) addField(facts, `${path}.${field.name}`, field);
  for (const oneof of message.oneofsArray) {
    if (!oneof.isProto3Optional)
      facts.set(`${path}.${oneof.name}`, `oneof of ${[...oneof.oneof].sort().join(", ")}`);
  }
}

function addField(facts: Map<string, string>, path: string, field: protobuf.Field): void {
  facts.set(path, "field");
  facts.set(`${path}#number`, String(field.id));
  facts.set(`${path}#type`, nameOf(field.resolvedType, field.type));
  facts.set(`${path}#label`, labelOf(field));
  const { partOf } = field;
  if (partOf !== null && !partOf.isProto3Optional) facts.set(`${path}#oneof`, partOf.name);
  addOptions(facts, path, field);
}

function labelOf(field: protobuf.Field): string {
  if (field instanceof protobuf.MapField) return `map by ${field.keyType}`;
  if (field.required) return "required";
  if (!field.repeated) return field.partOf?.isProto3Optional === true ? "optional" : "singular";
  const packable = field.resolvedType instanceof protobuf.Enum || field.type in protobuf.types.packed;
  return packable && field.packed ? "repeated, packed" : "repeated";
}

function addEnum(facts: Map<string, string>, path: string, object: protobuf.Enum): void {
  facts.set(path, "enum");
  addReserved(facts, path, object.reserved);
  for (const [name, number] of Object.entries(object.values))
    facts.set(`${path}.${name}`, `value ${String(number)}`);
}

function addReserved(
  facts: Map<string, string>,
  path: string,
  reserved: readonly (number[] | string)[] | undefined,
): void {
  for (const entry of reserved ?? []) {
    const text = typeof entry === "string" ? `name ${entry}` : `numbers ${entry.join(" to ")}`;
    facts.set(`${path}#reserved ${text}`, "reserved");
  }
}

/** What is said as an option, but for `optional`, which the parser keeps there and the label already tells. */
function addOptions(facts: Map<string, string>, path: string, object: protobuf.ReflectionObject): void {
  const options: Record<string, unknown> = object.options ?? {};
  for (const [name, value] of Object.entries(options)) {
    if (name !== "proto3_optional") facts.set(`${path}#option ${name}`, JSON.stringify(value));
  }
}

function pathOf(object: protobuf.ReflectionObject): string {
  return object.fullName.replace(/^\./, "");
}

/** The full path of a resolved message or enum, the plain name of a scalar. */
function nameOf(resolved: protobuf.ReflectionObject | null, written: string): string {
  return resolved === null ? written : pathOf(resolved);
}
