import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync, sign } from "node:crypto";
import { test } from "node:test";
import { parseDigest } from "../../core/digest.ts";
import { bundleFlaw } from "./bundle.ts";
import { flawOf } from "./cosign.ts";

// What cosign 3.1.1 made of a throw-away key and an image, in its two formats.
const keyText =
  "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEhqwzGfxpesB9xH46PJGPMCV1tLMycqVDz1cUXEy2wmDgP3XPnhMNGA7D3eDGNTivgPsQDi4IUVLz4SeOu//H8w==";
const key = createPublicKey({ key: Buffer.from(keyText, "base64"), format: "der", type: "spki" });
const digest = parseDigest("sha256:e778b5c9bb411f4dc442b8d35dceda41c6ed3eb1ac0116f70323775f70636d3f");
const repository = "127.0.0.1:5000/team/app";
const payload =
  '{"critical":{"identity":{"docker-reference":"127.0.0.1:5000/team/app"},"image":{"docker-manifest-digest":"sha256:e778b5c9bb411f4dc442b8d35dceda41c6ed3eb1ac0116f70323775f70636d3f"},"type":"cosign container image signature"},"optional":null}';
const signature =
  "MEUCIDZD7DpaSiW3pAjs0GZ/4dtkMotkxocu5Poy89Bqi2b2AiEAqmkazfjOtujjMPWb2qMPluMZ6EJ67l9w/vr8KOhjFBs=";
const statement =
  '{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"e778b5c9bb411f4dc442b8d35dceda41c6ed3eb1ac0116f70323775f70636d3f"},"annotations":{}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}';
const envelope = {
  payload: Buffer.from(statement).toString("base64"),
  payloadType: "application/vnd.in-toto+json",
  signatures: [
    {
      sig: "MEQCICCX3fy8o9m2MW6pHx+NZbfce9s3acnq1Nqepq5BKxSPAiAAqpGPwAd2wei9zDTFkFjuDachVwoBrvR44HkfM5ZW5w==",
    },
  ],
};

const bundleOf = (dsseEnvelope: unknown): Buffer =>
  Buffer.from(
    JSON.stringify({
      mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json",
      verificationMaterial: { publicKey: { hint: "yrC8NI4FS19ZolfZ+P0lb4mS19Kz5Bpki14q8fb0qTU=" } },
      dsseEnvelope,
    }),
  );

const another = parseDigest(`sha256:${"0".repeat(64)}`);
const theirs = generateKeyPairSync("ec", { namedCurve: "P-256" });

test("cosign: a signature that cosign 3 made in the older format counts", () => {
  const found = { payload: Buffer.from(payload), signature };
  const expected = { digest, repository, tag: "1" };
  assert.equal(flawOf(found, [theirs.publicKey, key], expected), undefined);
  assert.equal(flawOf(found, [theirs.publicKey], expected), "it is made with another key");
  assert.match(flawOf(found, [key], { ...expected, digest: another }) ?? "", /it is for sha256:e778/);
  assert.match(flawOf(found, [key], { ...expected, repository: "a.example/b" }) ?? "", /not for a\.example/);
});

test("cosign: a bundle that cosign 3 made counts for its image and key alone", () => {
  assert.equal(bundleFlaw(bundleOf(envelope), [theirs.publicKey, key], digest), undefined);
  assert.equal(bundleFlaw(bundleOf(envelope), [theirs.publicKey], digest), "it is made with another key");
  assert.equal(bundleFlaw(bundleOf(envelope), [key], another), `it is not for ${another}`);
});

/** A statement with a signature of its own. */
function signed(text: string, type = envelope.payloadType, said = type): unknown {
  const body = Buffer.from(text);
  const made = sign(
    "sha256",
    Buffer.concat([Buffer.from(`DSSEv1 ${type.length} ${type} ${body.length} `), body]),
    theirs.privateKey,
  );
  return {
    payload: body.toString("base64"),
    payloadType: said,
    signatures: [{ sig: made.toString("base64") }],
  };
}

for (const [what, dsse, expected] of [
  ["no envelope", undefined, /no signed statement/],
  ["no signature", { ...envelope, signatures: [] }, /another key/],
  ["signatures that are none", { ...envelope, signatures: [null, { sig: 1 }, { sig: "!" }] }, /another key/],
  ["a payload that is no base64", { ...envelope, payload: "{}" }, /not base64/],
  [
    "a changed statement",
    { ...envelope, payload: Buffer.from(`${statement} `).toString("base64") },
    /another key/,
  ],
  ["another type", { ...envelope, payloadType: "text/plain" }, /signs no application/],
  ["a type that was not signed", signed(statement, "text/plain", envelope.payloadType), /another key/],
  ["an attestation", signed(statement.replace("cosign/sign", "cosign/vuln")), /an attestation/],
  ["no statement", signed(statement.replace("in-toto.io", "example")), /no in-toto statement/],
  ["no JSON in it", signed("x"), /no JSON object/],
  ["no subject", signed(statement.replace("subject", "object")), /not for sha256/],
] as const) {
  test(`cosign: a bundle with ${what} does not count`, () => {
    assert.match(bundleFlaw(bundleOf(dsse), [theirs.publicKey, key], digest) ?? "", expected);
  });
}

test("cosign: a bundle that is no JSON does not count", () => {
  assert.match(bundleFlaw(Buffer.from("{"), [key], digest) ?? "", /no JSON object/);
});
