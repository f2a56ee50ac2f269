import assert from "node:assert/strict";
import { test } from "node:test";
import { choosePlatform } from "./platform.ts";

const of = (architecture: string, variant?: string, os = "linux") => ({
  platform: { os, architecture, ...(variant === undefined ? {} : { variant }) },
});

const needing = (...features: readonly string[]) => ({
  platform: { os: "linux", architecture: "amd64", features },
});

const cases = [
  { name: "the architecture decides", offers: [of("arm64"), of("amd64")], wanted: of("amd64"), index: 1 },
  {
    name: "the system decides",
    offers: [of("amd64", undefined, "windows"), of("amd64")],
    wanted: of("amd64"),
    index: 1,
  },
  {
    name: "the newest variant that runs",
    offers: [of("arm", "v5"), of("arm", "v7"), of("arm", "v6")],
    wanted: of("arm", "v7"),
    index: 1,
  },
  { name: "no newer variant", offers: [of("arm", "v7"), of("arm", "v6")], wanted: of("arm", "v6"), index: 1 },
  {
    name: "a minor variant counts",
    offers: [of("arm64", "v8.2"), of("arm64", "v8")],
    wanted: of("arm64"),
    index: 1,
  },
  {
    name: "the newest of minors",
    offers: [of("arm64", "v8"), of("arm64", "v8.1"), of("arm64", "v9")],
    wanted: of("arm64", "v8.4"),
    index: 1,
  },
  {
    name: "variants without the letter",
    offers: [of("arm", "7"), of("arm", "6")],
    wanted: of("arm", "v6"),
    index: 1,
  },
  {
    name: "a variant of no number runs on itself alone",
    offers: [of("arm", "hard"), of("arm", "soft")],
    wanted: of("arm", "soft"),
    index: 1,
  },
  {
    name: "no unknown variant on a plain machine",
    offers: [of("amd64", "foo")],
    wanted: of("amd64"),
    index: -1,
  },
  {
    name: "a feature that the machine lacks",
    offers: [needing("erofs"), of("amd64")],
    wanted: of("amd64"),
    index: 1,
  },
  { name: "nothing but such", offers: [needing("erofs")], wanted: of("amd64"), index: -1 },
  {
    name: "features that the machine has",
    offers: [needing("a", "b")],
    wanted: needing("b", "c", "a"),
    index: 0,
  },
  { name: "one of two features", offers: [needing("a", "b")], wanted: needing("a"), index: -1 },
  { name: "arm64 is v8", offers: [of("arm64", "v8")], wanted: of("arm64"), index: 0 },
  { name: "amd64 v3 not on v1", offers: [of("amd64", "v3"), of("amd64")], wanted: of("amd64"), index: 1 },
  { name: "the first of equals", offers: [of("amd64"), of("amd64", "v1")], wanted: of("amd64"), index: 0 },
  {
    name: "attestations are no platform",
    offers: [of("unknown", undefined, "unknown")],
    wanted: of("amd64"),
    index: -1,
  },
  { name: "a sole entry without a platform", offers: [{}], wanted: of("amd64"), index: 0 },
  { name: "two entries without", offers: [{}, {}], wanted: of("amd64"), index: -1 },
];

for (const { name, offers, wanted, index } of cases) {
  test(`platform: ${name}`, () => {
    assert.equal(choosePlatform(offers, wanted.platform), index < 0 ? undefined : offers[index]);
  });
}
