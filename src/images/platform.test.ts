import assert from "node:assert/strict";
import { test } from "node:test";
import { choosePlatform } from "./platform.ts";

const of = (architecture: string, variant?: string, os = "linux") => ({
  platform: { os, architecture, ...(variant === undefined ? {} : { variant }) },
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
