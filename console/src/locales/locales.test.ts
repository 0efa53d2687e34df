import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import en from "./en.json";
import zh from "./zh.json";

interface Tree {
  [key: string]: string | Tree;
}

const flat = (tree: Tree, before = ""): [string, string][] =>
  Object.entries(tree).flatMap(([key, value]) =>
    typeof value === "string" ? [[before + key, value]] : flat(value, `${before}${key}.`),
  );

const PLURAL = /_(one|other)$/;
const names = (tree: Tree) =>
  [...new Set(flat(tree).map(([key]) => key.replace(PLURAL, "")))].sort();
const holes = (text: string) => [...text.matchAll(/\{\{(\w+)\}\}/g)].map(([, name]) => name).sort();

test("both languages have the same texts", () => {
  expect(names(zh)).toEqual(names(en));
});

test("both languages fill in the same values", () => {
  const chinese = new Map(flat(zh));
  for (const [key, text] of flat(en)) {
    if (key.endsWith("_one")) continue;
    expect([key, holes(chinese.get(key) ?? "")]).toEqual([key, holes(text)]);
  }
});

test("plural texts have the forms of their language", () => {
  const forms = (tree: Tree, language: string) =>
    flat(tree)
      .filter(([key]) => PLURAL.test(key))
      .map(([key]) => `${language} ${key}`);
  const one = forms(en, "en").filter((it) => it.endsWith("_one"));
  const other = forms(en, "en").filter((it) => it.endsWith("_other"));
  expect(one.map((it) => it.replace(PLURAL, ""))).toEqual(
    other.map((it) => it.replace(PLURAL, "")),
  );
  expect(forms(zh, "zh").filter((it) => it.endsWith("_one"))).toEqual([]);
});

test("every text is used", () => {
  const root = join(import.meta.dirname, "..");
  const source = readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((it) => /\.tsx?$/.test(it) && !/\.test\.|^test\//.test(it))
    .map((it) => readFileSync(join(root, it), "utf8"))
    .join("\n");
  // A text is named whole, or its name is filled in from a word: t(`severity.${it}`).
  // `name("category", it, …)` of the words looks below the name of a group.
  const groups = [...source.matchAll(/name\("([a-z_.]+)"/g)].map((it) => `${it[1]}.`);
  const parts = [...source.matchAll(/`([a-z_.]+[._])\$\{/g)].map((it) => it[1]);
  const filled = [...new Set([...parts, ...groups])];
  const unused = names(en).filter(
    (key) => !source.includes(`"${key}"`) && !filled.some((it) => it && key.startsWith(it)),
  );
  expect(unused).toEqual([]);
});
