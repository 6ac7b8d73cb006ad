// Shows /openapi.json. Everything is put into the page as text.

const METHODS = ["get", "post", "put", "patch", "delete"];

/** An element with attributes and children; texts are texts. */
function make(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) element.setAttribute(key, value);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Text with `code` and **strong** words. */
function words(text) {
  return (text ?? "").split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((part) => {
    if (part.startsWith("`") && part.length > 2) return make("code", {}, part.slice(1, -1));
    if (part.startsWith("**") && part.length > 4) return make("strong", {}, part.slice(2, -2));
    return part;
  });
}

function paragraphs(text) {
  return (text ?? "").split("\n\n").filter(Boolean).map((part) => make("p", {}, words(part)));
}

let named = {};

/** The schema that a reference names, with its name. */
function resolved(schema) {
  const name = schema?.$ref?.split("/").at(-1);
  return name ? { ...named[name], ...schema, name } : schema;
}

/** A schema in a few words. */
function kind(given) {
  const schema = resolved(given);
  if (schema === true || schema === undefined) return "anything";
  if (schema.allOf) return schema.allOf.map(kind).find((word) => word !== "anything") ?? "anything";
  const variants = schema.oneOf ?? schema.anyOf;
  if (variants) return schema.name ?? [...new Set(variants.map(kind))].join(" or ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" or ");
  if (schema.type === "array") return `list of ${kind(schema.items)}`;
  if (schema.properties) return schema.name ?? schema.title ?? "object";
  const type = Array.isArray(schema.type) ? schema.type.join(" or ") : schema.type;
  if (schema.format && schema.type === "string") return schema.format;
  if (schema.type === "object" && schema.additionalProperties) return `object of ${kind(schema.additionalProperties)}`;
  return type ?? "anything";
}

/** Bounds of a schema in words. */
function bounds({ minimum, maximum, minLength, maxLength }) {
  const parts = [];
  if (minimum !== undefined || maximum !== undefined) parts.push(`${minimum ?? ""} to ${maximum ?? ""}`.trim());
  if (maxLength !== undefined) parts.push(`${minLength ?? 0} to ${maxLength} characters`);
  return parts.length ? ` (${parts.join(", ")})` : "";
}

/** The members of an object, of the elements of a list, or of the variants of either. */
function members(given) {
  const schema = resolved(given);
  if (!schema || schema === true) return { properties: {}, required: [] };
  if (schema.type === "array") return members(schema.items);
  const parts = [schema, ...[...(schema.allOf ?? []), ...(schema.oneOf ?? schema.anyOf ?? [])].map(members)];
  return {
    properties: Object.assign({}, ...parts.map((part) => part.properties ?? {})),
    required: parts.flatMap((part) => part.required ?? []),
  };
}

function row(name, schema, isRequired, description) {
  const inner = members(schema);
  const has_members = Object.keys(inner.properties).length > 0;
  const said = description ?? schema.description ?? resolved(schema)?.description;
  const cell = make("td", {}, words(said));
  if (has_members) cell.append(unfolding(kind(schema), () => table(schema)));
  const mark = isRequired ? make("span", { class: "required", title: "has to be there" }, " *") : null;
  return make("tr", {}, make("th", { scope: "row" }, make("code", {}, name), mark),
    make("td", { class: "kind" }, kind(schema) + bounds(resolved(schema) ?? {})), cell);
}

/** Details that are made when they are opened: types may hold themselves. */
function unfolding(title, content) {
  const details = make("details", { class: "inner" }, make("summary", {}, title));
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) details.append(content());
  });
  return details;
}

function table(schema) {
  const { properties, required } = members(schema);
  const rows = Object.entries(properties).map(([name, member]) => row(name, member, required.includes(name)));
  return make("div", { class: "wide" }, make("table", {}, make("tbody", {}, rows)));
}

function content(bodies) {
  return Object.entries(bodies ?? {}).map(([media, { schema }]) => {
    const has_members = Object.keys(members(schema).properties).length > 0;
    const title = make("p", { class: "media" }, make("code", {}, media), " ", make("span", { class: "kind" }, kind(schema)));
    return make("div", {}, title, has_members ? unfolding("members", () => table(schema)) : null);
  });
}

function answer([status, { description, content: bodies }]) {
  const level = status.startsWith("2") ? "good" : status.startsWith("5") ? "bad" : "odd";
  const codes = status.startsWith("2") ? words(description) : [make("code", {}, description)];
  const shown = status.startsWith("2") ? content(bodies) : [];
  return make("div", { class: "answer" }, make("span", { class: `status ${level}` }, status), make("div", {}, make("p", {}, codes), shown));
}

/** The operation as a command. */
function command(method, path, operation) {
  const media = Object.keys(operation.requestBody?.content ?? {})[0];
  const parts = [`curl -s ${method === "get" ? "" : `-X ${method.toUpperCase()} `}'${location.origin}${path}'`];
  if (operation.security?.length) parts.push(`-H "Authorization: Bearer $TOKEN"`);
  if (media) {
    const example = resolved(operation.requestBody.content[media].schema)?.examples?.[0];
    parts.push(`-H 'Content-Type: ${media}'`, `-d '${example ? JSON.stringify(example) : "{}"}'`);
  }
  return make("pre", {}, make("code", {}, parts.join(" \\\n  ")));
}

function section(title, ...parts) {
  return parts.flat().length ? [make("h4", {}, title), ...parts.flat()] : [];
}

function described(path, method, operation) {
  const scopes = (operation.security ?? []).flatMap((need) => Object.values(need).flat());
  const parameters = (operation.parameters ?? []).map((parameter) =>
    row(parameter.name, parameter.schema, parameter.required, parameter.description));
  const listed = parameters.length ? [make("div", { class: "wide" }, make("table", {}, make("tbody", {}, parameters)))] : [];
  const body = [
    paragraphs(operation.description),
    section("Example", command(method, path, operation)),
    section("Parameters", listed),
    section("Body", content(operation.requestBody?.content)),
    section("Answers", Object.entries(operation.responses).map(answer)),
  ].flat();
  const scope = scopes.length ? make("span", { class: "scope" }, scopes.join(", ")) : null;
  const title = make("summary", {}, make("span", { class: `method ${method}` }, method.toUpperCase()), make("code", {}, path),
    make("span", { class: "said" }, operation.summary), scope);
  return make("details", { class: "operation", id: operation.operationId }, title, make("div", { class: "body" }, body));
}

function operations(api) {
  return Object.entries(api.paths).flatMap(([path, methods]) =>
    METHODS.filter((method) => methods[method]).map((method) => ({ path, method, operation: methods[method] })));
}

/** Opens what the address names. */
function unfold() {
  const named_one = location.hash && document.getElementById(location.hash.slice(1));
  if (!named_one) return;
  if (named_one.tagName === "DETAILS") named_one.open = true;
  named_one.scrollIntoView();
}

async function show() {
  const answered = await fetch("/openapi.json");
  if (!answered.ok) throw new Error(`/openapi.json is answered with ${answered.status}`);
  const api = await answered.json();
  named = api.components.schemas;
  const page = document.getElementById("document");
  const head = [make("h1", {}, api.info.title, make("small", {}, ` ${api.info.version}`)), make("p", { class: "lead" }, api.info.summary),
    ...paragraphs(api.info.description)];
  const groups = api.tags.map((tag) => ({ ...tag, all: operations(api).filter(({ operation }) => operation.tags.includes(tag.name)) }))
    .filter((tag) => tag.all.length);
  const sections = groups.map((tag) => make("section", { id: tag.name }, make("h2", {}, tag.name), make("p", {}, words(tag.description)),
    tag.all.map(({ path, method, operation }) => described(path, method, operation))));
  page.replaceChildren(...head, ...sections);
  document.getElementById("contents").replaceChildren(...groups.map((tag) => make("div", {}, make("a", { href: `#${tag.name}` }, tag.name),
    make("ul", {}, tag.all.map(({ path, method, operation }) => make("li", {}, make("a", { href: `#${operation.operationId}`, title: `${method.toUpperCase()} ${path}` },
      operation.summary)))))));
  addEventListener("hashchange", unfold);
  unfold();
}

show().catch((error) => {
  document.getElementById("message").textContent = `The document cannot be shown: ${error.message}`;
});
