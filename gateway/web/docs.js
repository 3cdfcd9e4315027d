// The docs: samples speak of this gateway and can be copied; the reference is made of the OpenAPI document.

/** Deepest level of an example, so that types that hold themselves come to an end. */
const EXAMPLE_DEPTH_MAX = 6;
/** How long a button says that it has copied. */
const COPIED_MS = 1_500;
/** The gateway that the samples speak of. */
const SAMPLE_ORIGIN = "http://127.0.0.1:8080";
const METHODS = ["get", "post", "put", "patch", "delete", "head", "options"];

const byId = (id) => document.getElementById(id);

/** An element; children are nodes or texts, and what is not there is left out. */
function make(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) element.setAttribute(key, value);
  element.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== ""));
  return element;
}

const code = (text) => make("code", null, text);

/** A text in which what stands between backticks is code. */
function prose(text = "") {
  return text.split(/`([^`]+)`/).map((part, at) => (at % 2 ? code(part) : part));
}

function paragraphs(text = "") {
  return text.split(/\n\s*\n/).filter(Boolean).map((part) => make("p", null, prose(part)));
}

function table(label, heads, rows) {
  const head = make("tr", null, heads.map((text) => make("th", { scope: "col" }, text)));
  const body = rows.map((cells) => make("tr", null, cells.map((cell) => make("td", null, cell))));
  const whole = make("table", null, make("thead", null, head), make("tbody", null, body));
  return make("div", { class: "wide", tabindex: "0", role: "region", "aria-label": label }, whole);
}

// Samples

function copied(button, text, sample) {
  const say = (words) => {
    button.textContent = words;
    setTimeout(() => (button.textContent = "Copy"), COPIED_MS);
  };
  // There is no clipboard on a page without TLS: the sample is selected instead.
  if (!navigator.clipboard) {
    getSelection().selectAllChildren(sample);
    return say("Selected");
  }
  return navigator.clipboard.writeText(text).then(
    () => say("Copied"),
    () => say("Not allowed"),
  );
}

function dressSamples(root) {
  for (const sample of root.querySelectorAll("pre > code")) {
    sample.textContent = sample.textContent.replaceAll(SAMPLE_ORIGIN, location.origin);
    const button = make("button", { type: "button" }, "Copy");
    button.addEventListener("click", () => copied(button, sample.textContent, sample));
    const frame = make("div", { class: "sample" });
    sample.parentElement.replaceWith(frame);
    frame.append(make("pre", { tabindex: "0" }, sample), button);
  }
}

// Schemas

class Schemas {
  #api;

  constructor(api) {
    this.#api = api;
  }

  /** What a `$ref` stands for, or the value itself. */
  resolve(value) {
    const seen = new Set();
    while (value?.$ref && !seen.has(value.$ref)) {
      seen.add(value.$ref);
      const path = value.$ref.replace(/^#\//, "").split("/").map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
      value = path.reduce((place, part) => place?.[part], this.#api);
    }
    return value ?? {};
  }

  /** An object's fields, also those of the schemas that it is put together of: name -> {schema, required}. */
  fields(schema, depth = 0) {
    const whole = this.resolve(schema);
    const found = new Map();
    const add = (name, part, required) => {
      const known = found.get(name);
      // A later part narrows an earlier one.
      found.set(name, { schema: known ? { ...known.schema, ...part } : part, required: required || known?.required });
    };
    if (depth < EXAMPLE_DEPTH_MAX) {
      for (const part of whole.allOf ?? []) {
        for (const [name, field] of this.fields(part, depth + 1)) add(name, field.schema, field.required);
      }
    }
    for (const [name, part] of Object.entries(whole.properties ?? {})) add(name, part, whole.required?.includes(name));
    return found;
  }

  /** The type in a few words, with links to named ones. */
  type(schema) {
    if (schema?.$ref) {
      const name = schema.$ref.split("/").pop();
      return [make("a", { href: `#type-${name}` }, name)];
    }
    if (!schema || typeof schema !== "object") return ["anything"];
    if (schema.const !== undefined) return [code(JSON.stringify(schema.const))];
    const choice = schema.oneOf ?? schema.anyOf;
    if (choice) {
      const others = choice.filter((part) => part.type !== "null");
      return others.flatMap((part, at) => (at ? [" or ", ...this.type(part)] : this.type(part)));
    }
    if (schema.allOf?.length === 1) return this.type(schema.allOf[0]);
    const types = [schema.type ?? (schema.properties || schema.allOf ? "object" : "anything")].flat();
    const kinds = types.filter((type) => type !== "null");
    return kinds.flatMap((kind, at) => {
      const word = kind === "array" ? ["array of ", ...this.type(schema.items)] : [kind];
      return at ? [" or ", ...word] : word;
    });
  }

  /** What a value may be, beside its type. */
  bounds(schema) {
    const words = [];
    const say = (key, text) => schema[key] !== undefined && words.push(`${text} ${schema[key]}`);
    say("minimum", "from");
    say("maximum", "up to");
    say("minLength", "characters: at least");
    say("maxLength", "characters: at most");
    say("minItems", "items: at least");
    say("maxItems", "items: at most");
    say("pattern", "as");
    say("default", "if left out:");
    return words.join(", ");
  }

  example(schema, depth = 0) {
    const whole = this.resolve(schema);
    const given = schema?.example ?? whole.example ?? whole.examples?.[0] ?? whole.const ?? whole.default ?? whole.enum?.[0];
    if (given !== undefined) return given;
    if (depth >= EXAMPLE_DEPTH_MAX) return null;
    const choice = (whole.oneOf ?? whole.anyOf)?.find((part) => part.type !== "null");
    if (choice) return this.example(choice, depth + 1);
    const kind = [whole.type].flat().find((type) => type !== "null");
    if (kind === "array") return [this.example(whole.items, depth + 1)];
    const fields = this.fields(whole);
    if (fields.size) {
      // What may be left out is left out, unless the document has an example of it: a made-up value may be a wrong one.
      const shown = [...fields].filter(([, { schema: part, required }]) => required || part.example !== undefined);
      return Object.fromEntries(shown.map(([name, field]) => [name, this.example(field.schema, depth + 1)]));
    }
    return { string: "…", integer: whole.minimum ?? 0, number: whole.minimum ?? 0, boolean: true, object: {} }[kind] ?? null;
  }

  /** A table of an object's fields; nothing for what has none. */
  table(name, schema) {
    const fields = [...this.fields(schema)];
    if (!fields.length) return null;
    const rows = fields.map(([field, { schema: part, required }]) => {
      const whole = { ...this.resolve(part), ...part };
      const few = whole.enum?.length <= EXAMPLE_DEPTH_MAX && whole.enum.flatMap((value) => [" ", code(JSON.stringify(value))]);
      return [
        code(field),
        [this.type(part), required ? null : make("span", { class: "soft" }, " optional")],
        [prose(whole.description), few, make("div", { class: "soft" }, this.bounds(whole))].filter(Boolean),
      ];
    });
    return table(name, ["Field", "Type", "Meaning"], rows);
  }
}

// Routes

const sample = (text) => make("pre", null, code(text));
const anchor = (text) => text.replace(/[^\w-]+/g, "-").replace(/^-|-$/g, "");

/** The types of a body or an answer, and an example. */
function content(schemas, media = {}) {
  return Object.entries(media).map(([kind, { schema, example, examples }]) => {
    const named = Object.values(examples ?? {})[0];
    const shown = example ?? schemas.resolve(named).value ?? schemas.example(schema);
    const text = typeof shown === "string" ? shown : JSON.stringify(shown, null, 2);
    const plain = shown === null || text === "{}" || text === "…";
    return [make("p", null, code(kind), schema ? [" ", schemas.type(schema)] : null), plain ? null : sample(text)];
  });
}

function parameters(schemas, list) {
  if (!list.length) return null;
  const rows = list.map(({ name, in: place, required, schema, description }) => [
    code(name),
    [place, required ? null : make("span", { class: "soft" }, " optional")],
    [schemas.type(schema), make("div", { class: "soft" }, schemas.bounds(schemas.resolve(schema)))],
    prose(description),
  ]);
  return [make("h4", null, "Parameters"), table("Parameters", ["Name", "In", "Type", "Meaning"], rows)];
}

function answers(schemas, responses = {}) {
  const items = Object.entries(responses).map(([status, response]) => {
    const { description, content: media, headers } = schemas.resolve(response);
    const names = Object.keys(headers ?? {}).flatMap((name) => [" ", code(name)]);
    return [
      make("p", null, make("b", null, status === "default" ? "Other" : status), " ", prose(description)),
      names.length ? make("p", { class: "soft" }, "Headers:", names) : null,
      content(schemas, media),
    ];
  });
  return [make("h4", null, "Answers"), items];
}

function route(schemas, path, method, operation, shared) {
  const { summary, description, requestBody, responses, deprecated } = operation;
  const own = [...(shared ?? []), ...(operation.parameters ?? [])].map((one) => schemas.resolve(one));
  const body = requestBody && schemas.resolve(requestBody);
  return make(
    "details",
    { id: `route-${anchor(`${method} ${path}`)}` },
    make("summary", null, make("b", null, method.toUpperCase()), " ", code(path), " ", prose(summary), deprecated ? " (deprecated)" : null),
    paragraphs(description),
    parameters(schemas, own),
    body && [make("h4", null, "Body"), paragraphs(body.description), content(schemas, body.content)],
    answers(schemas, responses),
  );
}

function routes(api, schemas) {
  const groups = new Map((api.tags ?? []).map(({ name, description }) => [name, { description, routes: [] }]));
  for (const [path, item] of Object.entries(api.paths ?? {})) {
    for (const method of METHODS.filter((method) => item[method])) {
      const name = item[method].tags?.[0] ?? "others";
      if (!groups.has(name)) groups.set(name, { routes: [] });
      groups.get(name).routes.push(route(schemas, path, method, item[method], item.parameters));
    }
  }
  return [...groups].filter(([, group]) => group.routes.length).map(([name, group]) => [
    make("h3", { id: `group-${anchor(name)}` }, name[0].toUpperCase() + name.slice(1)),
    paragraphs(group.description),
    group.routes,
  ]);
}

function types(api, schemas) {
  const items = Object.entries(api.components?.schemas ?? {}).map(([name, schema]) =>
    make(
      "details",
      { id: `type-${name}` },
      make("summary", null, code(name), " ", prose(schemas.resolve(schema).description?.split("\n")[0])),
      schemas.table(name, schema) ?? make("p", null, schemas.type(schema), " ", schemas.bounds(schemas.resolve(schema))),
      sample(JSON.stringify(schemas.example(schema), null, 2)),
    ),
  );
  return items.length ? [make("h3", { id: "types" }, "Types"), items] : [];
}

function problems(list = []) {
  if (!list.length) return [];
  const rows = list.map(({ type, status, title, about }) => [
    code(type),
    String(status),
    [make("b", null, title), about ? make("div", null, prose(about)) : null],
  ]);
  return [make("h3", { id: "problems" }, "Problems"), table("Problems", ["Type", "Status", "Meaning"], rows)];
}

function limits(list = []) {
  if (!list.length) return [];
  const number = new Intl.NumberFormat("en");
  const rows = list.map(({ name, value, unit, about }) => [code(name), `${number.format(value)} ${unit}`, prose(about)]);
  return [table("Limits", ["Name", "Value", "Of"], rows)];
}

/** A link into the reference opens what it leads to. */
function openTarget() {
  const target = location.hash && byId(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  if (target.localName === "details") target.open = true;
  target.scrollIntoView();
}

async function drawReference() {
  try {
    const answer = await fetch("/openapi.json");
    if (!answer.ok) throw new Error(`the answer is ${answer.status}`);
    const api = await answer.json();
    const schemas = new Schemas(api);
    const parts = [routes(api, schemas), types(api, schemas), problems(api["x-problems"])];
    byId("reference-here").append(...parts.flat(Infinity));
    byId("limits-here").append(...limits(api["x-limits"]));
    byId("reference-state").append(` This is what version ${api.info?.version} says.`);
    dressSamples(byId("reference-here"));
    openTarget();
  } catch (error) {
    byId("reference-state").append(` It could not be shown here: ${error.message}.`);
  }
}

dressSamples(document.querySelector("main"));
addEventListener("hashchange", openTarget);
drawReference();
