/** Marks what message the bytes are of. */
declare const message: unique symbol;

/**
 * A message in wire format. Messages of one type put after one another are one message of that type with the fields of
 * all, repeated fields with the entries of all in their order (protobuf encoding, "Last One Wins" and "Merge"): so an
 * answer can be made of parts that were encoded before.
 */
export type Encoded<Message> = Buffer & { readonly [message]: Message };

/** Turns a message into bytes, as the contract has it. */
export type Encoder<Message> = (message: Message) => Encoded<Message>;

/** The part of a method's definition that encodes its answers. */
interface Answers<Message> {
  readonly responseSerialize: (answer: Message) => Buffer;
}

/** The encoder of a method's answers. */
export function encoderOf<Message>(method: Answers<Message>): Encoder<Message> {
  return method.responseSerialize as Encoder<Message>;
}

/**
 * Encodes the part of an answer that comes of one record, once: a record is replaced and never changed, so the bytes are
 * right as long as it is there, and go with it.
 */
export function encodeOnce<Source extends object, Message>(
  encode: Encoder<Message>,
  partOf: (source: Source) => Message,
): (source: Source) => Encoded<Message> {
  const known = new WeakMap<Source, Encoded<Message>>();
  return (source) => {
    const found = known.get(source);
    if (found !== undefined) return found;
    const bytes = encode(partOf(source));
    // In memory of its own: a few bytes of a shared pool would keep all of the pool.
    const kept = Buffer.allocUnsafeSlow(bytes.length) as Encoded<Message>;
    kept.set(bytes);
    known.set(source, kept);
    return kept;
  };
}

/** One answer of several parts. */
export function joined<Message>(parts: readonly Encoded<Message>[]): Encoded<Message> {
  return Buffer.concat(parts) as Encoded<Message>;
}

/** A service whose handlers may answer with bytes in place of messages. */
export function takingEncoded<Definition extends Readonly<Record<string, Answers<never>>>>(
  service: Definition,
): Definition {
  const methods = Object.entries(service).map(([name, method]) => {
    const encode = method.responseSerialize as (answer: unknown) => Buffer;
    const responseSerialize = (answer: unknown): Buffer =>
      Buffer.isBuffer(answer) ? answer : encode(answer);
    return [name, { ...method, responseSerialize }];
  });
  return Object.fromEntries(methods) as Definition;
}
