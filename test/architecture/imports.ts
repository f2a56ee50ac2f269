import { readdirSync, readFileSync } from "node:fs";
import { posix, relative } from "node:path";
import ts from "typescript";

/** One import of a source file. */
export interface Import {
  /** Path of the file from the repository's root. */
  readonly file: string;
  /** What stands between the quotes. */
  readonly specifier: string;
  /** `import type` and `export type`: gone after compilation. */
  readonly isTypeOnly: boolean;
}

/** Every TypeScript file below a folder, as paths from `root`, tests and fixtures included. */
export function sourceFiles(root: string, folder: string): readonly string[] {
  return readdirSync(`${root}/${folder}`, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => relative(root, `${entry.parentPath}/${entry.name}`))
    .sort();
}

/** True for files that are part of the product, which tests and their fixtures are not. */
export function isProduct(file: string): boolean {
  return !/\.(test|fixture)\.ts$/.test(file);
}

/** The imports of a file in the repository. */
export function readImports(root: string, file: string): readonly Import[] {
  return importsOf(file, readFileSync(`${root}/${file}`, "utf8"));
}

/** The imports of a text: static, re-exports, `import()`, `require()` and types named by `import("…")`. */
export function importsOf(file: string, text: string): readonly Import[] {
  const found: Import[] = [];
  const add = (node: ts.Node | undefined, isTypeOnly: boolean): void => {
    if (node !== undefined && ts.isStringLiteralLike(node)) {
      found.push({ file, specifier: node.text, isTypeOnly });
    }
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      add(node.moduleSpecifier, node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword);
    } else if (ts.isExportDeclaration(node)) {
      add(node.moduleSpecifier, node.isTypeOnly);
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      add(node.argument.literal, true);
    } else if (ts.isCallExpression(node) && isModuleCall(node.expression)) {
      add(node.arguments[0], false);
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(file, text, ts.ScriptTarget.Latest));
  return found;
}

/** The file that a relative import leads to, from the repository's root; undefined for a package. */
export function targetOf({ file, specifier }: Import): string | undefined {
  return specifier.startsWith(".") ? posix.join(posix.dirname(file), specifier) : undefined;
}

/** The npm package of an import; undefined for a relative one and for Node's own modules. */
export function packageOf({ specifier }: Import): string | undefined {
  if (specifier.startsWith(".") || specifier.startsWith("node:")) return undefined;
  return specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
}

/** A way around in a graph, first node repeated at the end; undefined where there is none. */
export function findCycle(graph: ReadonlyMap<string, ReadonlySet<string>>): readonly string[] | undefined {
  const done = new Set<string>();
  const search = (node: string, path: readonly string[]): readonly string[] | undefined => {
    const start = path.indexOf(node);
    if (start >= 0) return [...path.slice(start), node];
    if (done.has(node)) return undefined;
    for (const next of graph.get(node) ?? []) {
      const cycle = search(next, [...path, node]);
      if (cycle !== undefined) return cycle;
    }
    done.add(node);
    return undefined;
  };
  for (const node of graph.keys()) {
    const cycle = search(node, []);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}

function isModuleCall(callee: ts.Node): boolean {
  return (
    callee.kind === ts.SyntaxKind.ImportKeyword || (ts.isIdentifier(callee) && callee.text === "require")
  );
}
