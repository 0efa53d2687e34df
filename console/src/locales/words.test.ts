// What agents and rules say in single words has a name in both languages. The words are read
// where they are made: a new category, capability, field or fact without a name fails here.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import en from "./en.json";
import zh from "./zh.json";

const ROOT = join(import.meta.dirname, "../../..");

const under = (folder: string, ending: string): string[] =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter(
      (it) => it.endsWith(ending) && !/(^|\/)(target|tests?|bench|conformance)(\/|\.rs$)/.test(it),
    )
    .map((it) => readFileSync(join(ROOT, folder, it), "utf8"));

const RUST = under("crates", ".rs");
const SERVER = under("crates/server/src", ".rs");
const AGENT = under("crates/agent/src", ".rs");
const RULES = under("content/detections", "rule.yml");

/** The first group of every match, once each. */
const found = (texts: string[], pattern: RegExp): string[] =>
  [
    ...new Set(texts.flatMap((text) => [...text.matchAll(pattern)].map((it) => it[1] ?? ""))),
  ].sort();

/** The words of a `words!` enum. */
function wordsOf(name: string): string[] {
  const body = RUST.map((it) => new RegExp(`^    ${name} \\{$([^}]*)`, "m").exec(it)?.[1]).find(
    (it) => it !== undefined,
  );
  return found([body ?? ""], / = "([^"]+)"/g);
}

/** As the console looks a fact up, see `factKey`. */
const key = (name: string) => name.toLowerCase().replaceAll(/[^a-z0-9]+/g, "_");

interface Schema {
  $ref?: string;
  items?: Schema;
  properties?: Record<string, Schema>;
  additionalProperties?: Schema | boolean;
  oneOf?: Schema[];
  allOf?: Schema[];
}

/** Names of everything that requests may hold. */
const INPUTS = (() => {
  const document = JSON.parse(readFileSync(join(ROOT, "api/openapi.json"), "utf8"));
  const [names, met] = [new Set<string>(), new Set<string>()];
  const walk = (it: Schema): void => {
    if (it.$ref) {
      const name = it.$ref.split("/").at(-1) ?? "";
      if (!met.has(name)) {
        met.add(name);
        walk(document.components.schemas[name]);
      }
    }
    for (const [name, inner] of Object.entries(it.properties ?? {})) {
      names.add(name);
      walk(inner);
    }
    const inner = typeof it.additionalProperties === "object" ? [it.additionalProperties] : [];
    for (const one of [it.items ?? [], it.oneOf ?? [], it.allOf ?? [], inner].flat()) walk(one);
  };
  for (const path of Object.values<Record<string, { requestBody?: Body }>>(document.paths))
    for (const { requestBody } of Object.values(path))
      for (const { schema } of Object.values(requestBody?.content ?? {})) walk(schema);
  return [...names].sort();
})();
interface Body {
  content: Record<string, { schema: Schema }>;
}

const WORDS: [group: string, words: string[], at: (catalogue: typeof en) => object][] = [
  ["category", found(RULES, /^category: *([a-z_]+)/gm), (it) => it.category],
  [
    "capability.name",
    [
      ...found(
        RUST,
        /(?:capability|capabilities\.one|reporter\.one|matrix\.set)\(\s*"([a-z_.]+)"/g,
      ),
      ...found(RUST, /const [A-Z_]*CAPABILITY: &str = "([a-z_]+)"/g),
      ...found(RUST, /const (?:SENSOR|ENRICHMENT|RULES|SWEEPS): &str = "([a-z_]+)"/g),
    ].map(key),
    (it) => it.capability.name,
  ],
  [
    "field",
    found(
      RUST.filter((it) => it.includes("\nfields! {")).map((it) => it.split("\nfields! {")[1] ?? ""),
      /^ +([A-Z][A-Za-z]+): (?:Text|Integer|Bool|List), /gm,
    ),
    (it) => it.field,
  ],
  [
    "fact",
    [
      // Parameters of findings, which whitelists name; those in capitals are fields.
      ...found(RULES, /^params: \[([^\]]*)\]/gm)
        .flatMap((it) => it.split(/, */))
        .filter((it) => /^[a-z]/.test(it)),
      ...found(RUST, /Evidence::Fact \{\s*name: "([^"]+)"/g),
      ...found(RUST, /\bfact\("([^"]+)"/g),
      ...found(RUST, /\("(rule_[a-z]+)", &origin\./g),
      ...found(RUST, /\("([a-z_]+)", policy\.[a-z_]+, policy\.[a-z_]+\)/g),
    ].map(key),
    (it) => it.fact,
  ],
  [
    "audit.did",
    found(SERVER, /(?:audit\([^)]*?|entry\([^)]*?|action: )"([a-z_]+\.[a-z_]+)"/g).map(key),
    (it) => it.audit.did,
  ],
  ["word.executable_state", wordsOf("ExecutableState"), (it) => it.word.executable_state],
  ["word.sudo", wordsOf("Extent"), (it) => it.word.sudo],
  ["word.password", wordsOf("PasswordState"), (it) => it.word.password],
  ["word.scope", wordsOf("Scope"), (it) => it.word.scope],
  ["word.authentication", wordsOf("Authentication"), (it) => it.word.authentication],
  ["word.method", wordsOf("Method"), (it) => it.word.method],
  ["word.how", wordsOf("Copied"), (it) => it.word.how],
  ["word.file_kind", wordsOf("FileKind").map(key), (it) => it.word.file_kind],
  ["input", INPUTS, (it) => it.input],
];

const ID = '"([a-z_]+\\.[a-z_]+)"';
/** Ids of reasons, wherever one is made. */
const REASONS = found(
  [...AGENT, ...SERVER],
  new RegExp(`(?:because!\\(|Because::(?:of|new)\\((?:\\s*self,)?|\\bof\\()\\s*${ID}`, "g"),
);
const sentence = (catalogue: typeof en, id: string): string | undefined => {
  const [group = "", name = ""] = id.split(".");
  return (catalogue.reason as Record<string, Record<string, string>>)[group]?.[name];
};

test("every reason has a sentence in both languages, and every sentence a reason", () => {
  expect(REASONS.length).toBeGreaterThan(200);
  for (const catalogue of [en, zh] as (typeof en)[]) {
    expect(REASONS.filter((it) => !sentence(catalogue, it))).toEqual([]);
    const known = Object.entries(catalogue.reason).flatMap(([group, names]) =>
      Object.keys(names).map((name) => `${group}.${name}`),
    );
    expect(known.filter((it) => !REASONS.includes(it))).toEqual([]);
  }
});

test("the English sentence is that of agent or server", () => {
  const told = [...AGENT, ...SERVER].flatMap((text) => [
    ...text.matchAll(new RegExp(`because!\\(\\s*${ID},\\s*"([^"]*)"`, "g")),
  ]);
  expect(told.length).toBeGreaterThan(150);
  for (const [, id = "", text = ""] of told)
    expect([id, sentence(en, id)]).toEqual([id, text.replaceAll(/\{(\w+)\}/g, "{{$1}}")]);
});

test.each(WORDS)("every %s has a name in both languages", (_, words, at) => {
  expect(words.length).toBeGreaterThan(0);
  for (const catalogue of [en, zh] as (typeof en)[]) {
    const named = at(catalogue) as Record<string, string>;
    expect(words.filter((it) => !named[it])).toEqual([]);
  }
});
