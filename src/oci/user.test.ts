import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../core/errors.ts";
import { maxAccountFileBytes } from "../core/limits.ts";
import { parseImageUser, resolveUser, type UserRequest } from "./user.ts";

const passwd = `root:x:0:0:root:/root:/bin/sh
# a comment
www:x:33:34:web:/var/www:/bin/false
5000:x:0:0:digits as a name:/root:/bin/sh
broken:x:oops:0::/:/bin/sh
huge:x:4294967296:4294967296::/:/bin/sh
noisy:x:44:44::/home/\u0007bell:/bin/sh
`;
const group = `root:x:0:
www:x:34:
audio:x:29:www,root
video:x:30:www
badgid:x:none:noisy
`;
const base: UserRequest = { passwd, group, imageUser: "", supplementalGroups: [], policy: "merge" };

test("user: who the process runs as", () => {
  const table: readonly (readonly [string, Partial<UserRequest>, readonly unknown[]])[] = [
    ["nothing is root", {}, [0, 0, [0, 29], "/root"]],
    ["image name", { imageUser: "www" }, [33, 34, [29, 30, 34], "/var/www"]],
    ["image uid takes the entry's group", { imageUser: "33" }, [33, 34, [29, 30, 34], "/var/www"]],
    ["image uid without entry", { imageUser: "1234" }, [1234, 0, [0], "/"]],
    ["image uid:gid", { imageUser: "33:7" }, [33, 7, [7, 29, 30], "/var/www"]],
    ["image user:group", { imageUser: "www:audio" }, [33, 29, [29, 30], "/var/www"]],
    ["image :group is root's", { imageUser: ":audio" }, [0, 29, [29], "/root"]],
    ["image user: without group", { imageUser: "www:" }, [33, 34, [29, 30, 34], "/var/www"]],
    [
      "run_as_user drops the image's user",
      { imageUser: "www:audio", runAsUser: 0 },
      [0, 0, [0, 29], "/root"],
    ],
    ["run_as_group", { runAsUser: 33, runAsGroup: 5 }, [33, 5, [5, 29, 30], "/var/www"]],
    ["run_as_username", { runAsUsername: "www", runAsGroup: 5 }, [33, 5, [5, 29, 30], "/var/www"]],
    ["run_as_username in digits", { runAsUsername: "33" }, [33, 34, [29, 30, 34], "/var/www"]],
    [
      "supplemental, merged",
      { imageUser: "www", supplementalGroups: [99, 5] },
      [33, 34, [5, 29, 30, 34, 99], "/var/www"],
    ],
    [
      "strict",
      { imageUser: "www", supplementalGroups: [99], policy: "strict" },
      [33, 34, [34, 99], "/var/www"],
    ],
    ["the greatest", { runAsUser: 2 ** 31 - 1 }, [2 ** 31 - 1, 0, [0], "/"]],
    [
      "cve-2022-4318: no control character in home",
      { imageUser: "noisy", policy: "strict" },
      [44, 44, [44], "/"],
    ],
    ["cve-2016-3697: digits are never a name", { imageUser: "5000" }, [5000, 0, [0], "/"]],
  ];
  for (const [name, request, expected] of table) {
    const { uid, gid, supplementalGroups, home } = resolveUser({ ...base, ...request });
    assert.deepEqual([uid, gid, supplementalGroups, home], expected, name);
  }
});

test("user: an image without account files", () => {
  const { passwd: _passwd, group: _group, ...bare } = base;
  assert.deepEqual(resolveUser({ ...bare, imageUser: "7:8" }), {
    uid: 7,
    gid: 8,
    supplementalGroups: [8],
    home: "/",
  });
  assert.throws(
    () => resolveUser({ ...bare, imageUser: "www" }),
    /user "www": not in the image's \/etc\/passwd/,
  );
});

test("user: what is refused", () => {
  const table: readonly (readonly [string, Partial<UserRequest>, RegExp])[] = [
    ["missing name", { imageUser: "nobody" }, /user "nobody": not in/],
    ["missing group", { imageUser: "www:staff" }, /group "staff": not in/],
    ["two colons", { imageUser: "a:b:c" }, /more than one colon/],
    ["cve-2024-40635: above 2^31-1", { imageUser: "2147483648" }, /2147483648.*not in 0/],
    ["above 2^32", { imageUser: "4294967296" }, /not in 0/],
    ["digits without end", { imageUser: "9".repeat(400) }, /not in 0/],
    ["gid above 2^31-1", { imageUser: "1:2147483648" }, /not in 0/],
    ["negative", { imageUser: "-1" }, /not in 0/],
    ["cve-2026-46680: an entry's uid that is no number", { imageUser: "broken" }, /no valid uid/],
    ["an entry's uid that is too large", { imageUser: "huge" }, /no valid uid/],
    ["a group's gid that is no number", { imageUser: "noisy" }, /"badgid" has no valid gid/],
    ["run_as_user out of range", { runAsUser: -1 }, /run_as_user/],
    ["run_as_group out of range", { runAsUser: 1, runAsGroup: 2 ** 31 }, /run_as_group/],
    ["run_as_group alone", { runAsGroup: 1 }, /run_as_group is set without/],
    ["both users", { runAsUser: 1, runAsUsername: "www" }, /both set/],
    ["username with a colon", { runAsUsername: "www:audio" }, /colon/],
    ["supplemental group out of range", { supplementalGroups: [2 ** 32] }, /supplemental_groups/],
    ["cve-2025-4437: too large a file", { passwd: "x".repeat(maxAccountFileBytes + 1) }, /passwd is larger/],
  ];
  for (const [name, request, message] of table) {
    assert.throws(
      () => resolveUser({ ...base, ...request }),
      (error) => hasCode(error, "invalid-argument") && message.test(error.message),
      name,
    );
  }
});

test("user: an image's user as ImageStatus reports it", () => {
  assert.deepEqual(parseImageUser(""), { uid: 0 });
  assert.deepEqual(parseImageUser("1000:1000"), { uid: 1000 });
  assert.deepEqual(parseImageUser("www:audio"), { username: "www" });
  assert.throws(() => parseImageUser("2147483648"), /not in 0/);
});
