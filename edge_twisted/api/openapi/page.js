"use strict";

// Everything that comes from outside is put in as text, never as markup.
function element(name, text, attributes) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  return made;
}

function field(parent, label, input) {
  const id = "field-" + field.count++;
  input.id = id;
  parent.append(element("label", label, { for: id }), input);
  return input;
}
field.count = 0;

function responsesOf(operation) {
  const table = element("table");
  for (const [status, response] of Object.entries(operation.responses)) {
    const row = element("tr");
    row.append(element("td", status), element("td", response.description));
    table.append(row);
  }
  return table;
}

// Returns a function that adds the body to a request's options.
function bodyForm(form, operation) {
  if (!operation.requestBody) return () => {};
  const types = Object.keys(operation.requestBody.content);
  if (types.includes("multipart/form-data")) {
    const file = field(form, "file", element("input", undefined, { type: "file" }));
    return (options) => {
      options.body = new FormData();
      if (file.files[0]) options.body.append("file", file.files[0]);
    };
  }
  const area = field(form, "body (application/json)", element("textarea", undefined, { spellcheck: "false" }));
  const example = operation.requestBody.content["application/json"].example;
  area.value = example === undefined ? "" : JSON.stringify(example, null, 2);
  return (options) => {
    options.headers["Content-Type"] = "application/json";
    options.body = area.value;
  };
}

async function shown(response) {
  const lines = [response.status + " " + response.statusText];
  for (const [name, value] of response.headers) lines.push(name + ": " + value);
  const type = response.headers.get("content-type") || "";
  let body;
  if (type.startsWith("application/json")) {
    // As it came: numbers beyond what JavaScript can hold stay what they are.
    body = await response.text();
  } else if (type.startsWith("text/")) {
    body = await response.text();
  } else {
    body = (await response.blob()).size + " bytes";
  }
  return lines.join("\n") + "\n\n" + body;
}

function operationView(path, method, operation) {
  const view = element("details");
  const summary = element("summary");
  summary.append(element("span", method.toUpperCase(), { class: "method" }), element("span", path, { class: "path" }), element("span", operation.summary));
  const inside = element("div");
  if (operation.description) inside.append(element("p", operation.description));
  inside.append(responsesOf(operation));
  const form = element("form");
  const parameters = (operation.parameters || []).map((parameter) => [parameter, field(form, parameter.name + (parameter.description ? ": " + parameter.description : ""), element("input"))]);
  const addBody = bodyForm(form, operation);
  form.append(element("button", "Send"));
  const output = element("pre");
  output.hidden = true;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const options = { method: method.toUpperCase(), headers: {}, credentials: "omit", cache: "no-store" };
    const key = document.getElementById("key").value.trim();
    if (key && operation.security) options.headers.Authorization = "Bearer " + key;
    let target = path;
    for (const [parameter, input] of parameters) {
      if (parameter.in === "path") target = target.replace("{" + parameter.name + "}", encodeURIComponent(input.value));
      else if (parameter.in === "header" && input.value) options.headers[parameter.name] = input.value;
    }
    output.hidden = false;
    output.textContent = "...";
    try {
      addBody(options);
      output.textContent = await shown(await fetch(target, options));
    } catch (error) {
      output.textContent = String(error);
    }
  });
  inside.append(form, output);
  view.append(summary, inside);
  return view;
}

// One of the alternatives of an operation may ask for nothing.
function needsKey(operation) {
  return (operation.security || []).every((each) => "key" in each) && Boolean(operation.security);
}

async function main() {
  const api = await (await fetch("edge_server_api.json", { credentials: "omit" })).json();
  document.getElementById("title").textContent = api.info.title + " " + api.info.version;
  document.getElementById("about").textContent = api.info.description;
  document.getElementById("key-form").hidden = !Object.values(api.paths).flatMap(Object.values).some(needsKey);
  document.getElementById("key-form").addEventListener("submit", (event) => event.preventDefault());
  const views = [];
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(methods)) views.push(operationView(path, method, operation));
  }
  document.getElementById("operations").replaceChildren(...views);
  const rows = api["x-errors"].map((kind) => {
    const row = element("tr");
    row.append(element("td", kind.code), element("td", String(kind.status)), element("td", kind.meaning));
    return row;
  });
  document.getElementById("error-rows").replaceChildren(...rows);
  document.getElementById("errors").hidden = false;
}

main().catch((error) => {
  document.getElementById("operations").textContent = String(error);
});
