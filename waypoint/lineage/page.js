// Draws the lineage of all tables, or of the table, column or exposure that the address names.
(() => {
  "use strict";

  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const [canvas, graph, about, found, search] = ["canvas", "graph", "about", "found", "search"].map(byId);
  const main = byId("content");

  const tables = new Map(data.tables.map((table) => [table.name, table]));
  const exposures = new Map(data.exposures.map((e) => [`exposure.${e.name}`, e]));
  const last = Math.max(-1, ...data.tables.map((table) => table.layer)) + 1;
  const tableOf = (ref) => ref.slice(0, ref.lastIndexOf("."));
  const columnOf = (ref) => ref.slice(ref.lastIndexOf(".") + 1);
  const schemaOf = (name) => name.slice(0, name.indexOf("."));
  const push = (map, key, value) => (map.get(key) ?? map.set(key, new Set()).get(key)).add(value);

  // lineage in both directions: columns to columns, columns to the tables whose rows they decide,
  // and tables to the tables that read their rows
  const [madeOf, makes, decidedBy, decides, reads, readBy] = Array.from({ length: 6 }, () => new Map());
  for (const [column, refs] of Object.entries(data.values)) {
    for (const ref of refs) push(madeOf, column, ref), push(makes, ref, column);
  }
  for (const [table, refs] of Object.entries(data.rows)) {
    for (const ref of refs) push(decidedBy, table, ref), push(decides, ref, table);
  }
  for (const [table, names] of Object.entries(data.reads)) {
    for (const name of names) push(reads, table, name), push(readBy, name, table);
  }
  const usedBy = new Map();
  for (const [id, exposure] of exposures) {
    for (const table of Object.keys(exposure.uses)) push(usedBy, table, id);
  }
  const columnsOf = (name) => (tables.get(name)?.columns ?? []).map(([column]) => `${name}.${column}`);
  const usesOf = (id) =>
    Object.entries(exposures.get(id).uses).flatMap(([t, columns]) => columns.map((c) => `${t}.${c}`));
  const all = (map, key) => map.get(key) ?? new Set();
  const closure = (start, next) => {
    const seen = new Set();
    const queue = [...start];
    while (queue.length) {
      for (const other of next(queue.pop())) if (!seen.has(other)) seen.add(other), queue.push(other);
    }
    return seen;
  };

  // what columns reach: those that carry their values, and tables whose rows follow
  const reachedBy = (start, whole) => {
    const carried = closure(start, (ref) => all(makes, ref));
    const rows = new Set();
    for (const ref of [...start, ...carried]) for (const t of all(decides, ref)) rows.add(t);
    const restless = closure([...rows, ...whole], (table) => all(readBy, table));
    for (const table of rows) restless.add(table);
    const touched = new Set([...[...carried].map(tableOf), ...restless]);
    const values = new Set([...start, ...carried]);
    const used = [...exposures.keys()].filter((id) =>
      usesOf(id).some((ref) => values.has(ref) || restless.has(tableOf(ref)) || whole.has(tableOf(ref))),
    );
    return { carried, rows: restless, tables: touched, exposures: new Set(used) };
  };

  // what columns are made of: those with their values, and those that decide rows on the way
  const sourcesOf = (start) => {
    const carried = closure(start, (ref) => all(madeOf, ref));
    const on = new Set([...start, ...carried].map(tableOf));
    const before = closure(on, (table) => all(reads, table));
    const deciding = new Set();
    for (const table of [...on, ...before]) for (const ref of all(decidedBy, table)) deciding.add(ref);
    return { carried, deciding, tables: new Set([...before, ...[...carried].map(tableOf)]) };
  };

  // elements

  const element = (tag, attributes = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== undefined && value !== null && value !== "") made.setAttribute(name, value);
    }
    made.append(...children.filter((child) => child !== "" && child !== undefined && child !== null));
    return made;
  };
  const linked = (id, text) => element("a", { href: `#${encodeURIComponent(id)}` }, text ?? id);
  const schemas = [...new Set(data.tables.map((table) => schemaOf(table.name)))];
  const colour = (id) =>
    exposures.has(id) ? "var(--series-2)" : `var(--series-${[6, 1, 3, 4, 5, 7, 8][schemas.indexOf(schemaOf(id)) % 7]})`;

  // layout: layers from left to right, boxes below each other

  const WIDTH = 196;
  const ACROSS = { least: 34, most: 72 }; // what the screen has room for
  const BETWEEN = 10;
  const MARGIN = 16;
  const ROW = 20;

  const place = (boxes, edges) => {
    const used = [...new Set(boxes.map((box) => box.layer))].sort((a, b) => a - b);
    const layers = used.map((layer) => boxes.filter((box) => box.layer === layer));
    const height = (layer) => layer.reduce((sum, box) => sum + box.height + BETWEEN, -BETWEEN);
    const tallest = Math.max(...layers.map(height));
    const room = (canvas.clientWidth - 2 * MARGIN - layers.length * WIDTH) / Math.max(1, layers.length - 1);
    const across = Math.min(ACROSS.most, Math.max(ACROSS.least, Math.floor(room)));
    const before = new Map();
    for (const { from, to } of edges) push(before, to.id, from.id);
    const middle = new Map();
    const mean = (box) => {
      const known = [...all(before, box.id)].filter((id) => middle.has(id)).map((id) => middle.get(id));
      return known.length ? known.reduce((a, b) => a + b, 0) / known.length : Infinity;
    };
    layers.forEach((layer, number) => {
      if (main.classList.contains("chosen")) layer.sort((a, b) => mean(a) - mean(b) || 0);
      let y = MARGIN + (tallest - height(layer)) / 2;
      for (const box of layer) {
        box.x = MARGIN + number * (WIDTH + across);
        box.y = y;
        middle.set(box.id, y + box.height / 2);
        y += box.height + BETWEEN;
      }
    });
    return { width: MARGIN * 2 + layers.length * (WIDTH + across) - across, height: tallest + MARGIN * 2 };
  };

  const boxOf = (id, { columns = [], on = new Set(), asked = false, small = false, onlyRows = false, more = "" }) => {
    const exposure = exposures.get(id);
    const table = tables.get(id);
    const name = exposure ? exposure.label : id.slice(id.indexOf(".") + 1);
    const under = exposure ? [exposure.kind, exposure.owner] : [schemaOf(id), table.owner];
    const head = element(
      "a",
      { href: `#${encodeURIComponent(id)}`, title: exposure ? name : id, "aria-current": asked ? "true" : null },
      name,
      small ? "" : element("small", {}, [...under, more].filter(Boolean).join(" · ")),
    );
    const items = columns.map((ref) =>
      element("li", { class: on.has(ref) ? "on" : "" }, linked(ref, columnOf(ref))),
    );
    if (exposure) items.forEach((item, n) => item.firstChild.setAttribute("title", columns[n]));
    const classes = ["node", exposure && "exposure", asked && "asked", onlyRows && "only-rows"];
    const node = element("div", { class: classes.filter(Boolean).join(" ") }, head);
    if (items.length) node.append(element("ul", {}, ...items));
    node.style.setProperty("--of", colour(id));
    const top = small ? 28 : 42;
    const height = top + (items.length ? items.length * ROW + 5 : 0);
    return { id, node, top, height, columns, layer: exposure ? last : table.layer };
  };

  const draw = (boxes, edges) => {
    const size = place(boxes, edges);
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("width", size.width);
    svg.setAttribute("height", size.height);
    svg.setAttribute("aria-hidden", "true");
    const at = (box, column) => {
      const row = column ? box.columns.indexOf(column) : -1;
      return box.y + (row < 0 ? box.top / 2 : box.top + 1 + row * ROW + ROW / 2);
    };
    const paths = new Map();
    for (const { from, to, fromColumn, toColumn, rows } of edges) {
      const path = document.createElementNS(svg.namespaceURI, "path");
      const [x1, y1, x2, y2] = [from.x + WIDTH, at(from, fromColumn), to.x, at(to, toColumn)];
      const bend = Math.max(24, (x2 - x1) / 2);
      path.setAttribute("d", `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`);
      if (rows) path.setAttribute("class", "rows");
      svg.append(path);
      push(paths, from.id, path);
      push(paths, to.id, path);
    }
    graph.replaceChildren(svg);
    graph.style.width = `${size.width}px`;
    graph.style.height = `${size.height}px`;
    for (const box of boxes) {
      Object.assign(box.node.style, {
        left: `${box.x}px`, top: `${box.y}px`, width: `${WIDTH}px`, height: `${box.height}px`,
      });
      const heat = (hot) => () => {
        for (const path of all(paths, box.id)) path.classList.toggle("hot", hot);
      };
      box.node.addEventListener("mouseenter", heat(true));
      box.node.addEventListener("mouseleave", heat(false));
      box.node.addEventListener("focusin", heat(true));
      box.node.addEventListener("focusout", heat(false));
      graph.append(box.node);
    }
  };

  // edges between tables: of values where any are carried, else of rows
  const tableEdges = (boxes) => {
    const shown = new Map(boxes.map((box) => [box.id, box]));
    const edges = [];
    for (const box of boxes) {
      const exposure = exposures.get(box.id);
      const carrying = exposure
        ? new Set(Object.keys(exposure.uses))
        : new Set(columnsOf(box.id).flatMap((ref) => [...all(madeOf, ref)].map(tableOf)));
      const deciding = exposure ? [] : [...[...all(decidedBy, box.id)].map(tableOf), ...all(reads, box.id)];
      for (const name of new Set([...carrying, ...deciding])) {
        const from = shown.get(name);
        if (from) edges.push({ from, to: box, rows: !carrying.has(name) });
      }
    }
    return edges;
  };

  // edges between the columns that are shown; tables without any in common are joined as wholes
  const columnEdges = (boxes, isOn, rowsOnly = false) => {
    const shown = new Map(boxes.map((box) => [box.id, box]));
    const edges = [];
    const joined = new Set();
    for (const to of boxes) {
      const incoming = exposures.has(to.id)
        ? to.columns.map((ref) => [ref, [ref]])
        : to.columns.map((ref) => [ref, [...all(madeOf, ref)]]);
      for (const [column, refs] of incoming) {
        for (const ref of refs) {
          const from = shown.get(tableOf(ref));
          if (!from || from === to || !from.columns.includes(ref) || !isOn(ref, column)) continue;
          edges.push({ from, to, fromColumn: ref, toColumn: column });
          joined.add(`${from.id} ${to.id}`);
        }
      }
    }
    for (const edge of tableEdges(boxes)) {
      if (!joined.has(`${edge.from.id} ${edge.to.id}`)) edges.push({ ...edge, rows: edge.rows || rowsOnly });
    }
    return edges;
  };

  // views

  const overview = () => {
    const boxes = [...tables.keys(), ...exposures.keys()].map((id) => boxOf(id, { small: true }));
    draw(boxes, tableEdges(boxes));
  };

  const viewOfTable = (id) => {
    const own = exposures.has(id) ? usesOf(id) : columnsOf(id);
    const up = sourcesOf(own);
    const down = exposures.has(id)
      ? { carried: new Set(), rows: new Set(), tables: new Set(), exposures: new Set() }
      : reachedBy(own, new Set([id]));
    const around = (ref) => (exposures.has(id) ? [ref] : [...all(madeOf, ref), ...all(makes, ref)]);
    const near = new Set(own.flatMap(around));
    const direct = new Set([...near].map(tableOf));
    if (exposures.has(id)) for (const name of direct) up.tables.add(name);
    const names = [...tables.keys()].filter(
      (name) => name === id || up.tables.has(name) || down.tables.has(name) || direct.has(name),
    );
    const boxes = [...names, ...(exposures.has(id) ? [id] : []), ...down.exposures].map((name) => {
      const asked = name === id;
      const columns = asked
        ? own
        : direct.has(name)
          ? columnsOf(name).filter((ref) => near.has(ref))
          : exposures.has(name)
            ? usesOf(name).filter((ref) => tableOf(ref) === id)
            : [];
      return boxOf(name, { columns, asked });
    });
    // around what was asked for, columns are joined; farther away, tables
    const isNear = (ref, column) => exposures.has(id) || tableOf(ref) === id || tableOf(column) === id;
    draw(boxes, columnEdges(boxes, isNear));
    tellOfTable(id, up, down);
  };

  const viewOfColumn = (ref) => {
    const up = sourcesOf([ref]);
    const down = reachedBy([ref], new Set());
    const on = new Set([ref, ...up.carried, ...down.carried]);
    const names = [...tables.keys()].filter(
      (name) => name === tableOf(ref) || down.tables.has(name) || [...up.carried].some((c) => tableOf(c) === name),
    );
    const boxes = [...names, ...down.exposures].map((name) => {
      const columns = (exposures.has(name) ? usesOf(name) : columnsOf(name)).filter((c) => on.has(c));
      const onlyRows = !columns.length;
      const more = onlyRows ? "rows only" : "";
      return boxOf(name, { columns, on: new Set([ref]), asked: name === tableOf(ref), onlyRows, more });
    });
    const edges = columnEdges(boxes, (from, to) => on.has(from) && on.has(to), true).filter(
      (edge) => !edge.rows || touches(edge, ref, down),
    );
    draw(boxes, edges);
    tellOfColumn(ref, up, down);
  };

  // whether rows come and go along an edge because of a column
  const touches = ({ from, to }, ref, down) => {
    const values = new Set([ref, ...down.carried]);
    if (exposures.has(to.id)) return down.rows.has(from.id);
    if (!down.rows.has(to.id)) return false;
    return down.rows.has(from.id) || [...all(decidedBy, to.id)].some((c) => tableOf(c) === from.id && values.has(c));
  };

  // what is told beside the graph

  const list = (title, items, kind = "") =>
    items.length ? [element("h3", {}, title), element("ul", { class: kind }, ...items)] : [];

  const columnItems = (refs) => {
    const groups = new Map();
    for (const ref of refs) push(groups, tableOf(ref), ref);
    return [...tables.keys()]
      .filter((name) => groups.has(name))
      .map((name) => {
        const links = [...groups.get(name)].flatMap((ref, n) => [n ? ", " : "", linked(ref, columnOf(ref))]);
        return element("li", {}, linked(name), element("br"), element("small", {}, ...links.filter(Boolean)));
      });
  };
  const exposureItems = (ids) =>
    [...ids].map((id) => {
      const { label, kind, owner, email } = exposures.get(id);
      const who = [kind, owner + (email ? ` <${email}>` : "")].filter(Boolean).join(", ");
      return element("li", {}, linked(id, label), element("br"), element("small", {}, who));
    });
  const tableItems = (names) =>
    [...tables.keys()].filter((name) => names.has(name)).map((name) => {
      return element("li", {}, linked(name), " ", element("small", {}, tables.get(name).owner));
    });
  const counted = (number, what) => `${number} ${what}${number === 1 ? "" : "s"}`;

  const catalogued = (id) =>
    data.catalogue && tables.has(tables.has(id) ? id : tableOf(id))
      ? element("p", {}, element("a", { href: `${data.catalogue}#${encodeURIComponent(id)}` }, "In the catalogue"))
      : "";

  const tellOfTable = (id, up, down) => {
    const exposure = exposures.get(id);
    const { kind, owner, about: words } = exposure ?? tables.get(id);
    const facts = [kind, owner && `owner ${owner}`, exposure?.email].filter(Boolean).join(", ");
    const parts = [element("h2", { tabindex: "-1" }, exposure ? exposure.label : id), element("p", {}, facts)];
    if (words) parts.push(element("p", { class: "what" }, words));
    parts.push(catalogued(id));
    if (exposure) {
      parts.push(...list("Uses", columnItems(usesOf(id))));
    } else {
      const rows = tables.get(id).columns.map(([column, type, told]) => {
        const ref = `${id}.${column}`;
        return element(
          "li", {}, linked(ref, column), element("small", {}, type),
          told ? element("small", { class: "told" }, told) : "",
        );
      });
      parts.push(...list("Columns", rows, "cols"));
      parts.push(...list("Used in", exposureItems(down.exposures)));
      parts.push(...list(`Reaches ${counted(down.tables.size, "table")}`, tableItems(down.tables)));
    }
    parts.push(...list(`Made of ${counted(up.tables.size, "table")}`, tableItems(up.tables)));
    about.replaceChildren(...parts.filter(Boolean));
  };

  const tellOfColumn = (ref, up, down) => {
    const name = tableOf(ref);
    const [, type, told] = tables.get(name).columns.find(([column]) => column === columnOf(ref));
    const parts = [
      element("h2", { tabindex: "-1" }, linked(name), `.${columnOf(ref)}`),
      element("p", {}, [type, tables.get(name).owner && `owner ${tables.get(name).owner}`].filter(Boolean).join(", ")),
    ];
    if (told) parts.push(element("p", { class: "what" }, told));
    parts.push(catalogued(ref));
    const rowsOnly = new Set([...down.rows].filter((t) => ![...down.carried].some((c) => tableOf(c) === t)));
    parts.push(...list("Used in", exposureItems(down.exposures)));
    parts.push(...list("Its value goes into", columnItems(down.carried)));
    parts.push(...list("Decides rows of", tableItems(new Set([...all(decides, ref)]))));
    parts.push(...list("Rows come and go, too, in", tableItems(new Set([...rowsOnly].filter((t) => !all(decides, ref).has(t))))));
    parts.push(...list("Its value is made of", columnItems(up.carried)));
    if (!up.carried.size && !down.carried.size && !down.rows.size && !down.exposures.size) {
      parts.push(element("p", {}, "Nothing is made of it, and it is made of nothing here."));
    }
    about.replaceChildren(...parts.filter(Boolean));
  };

  // the address says what is looked at

  const asked = () => {
    let id = "";
    try {
      id = decodeURIComponent(location.hash.slice(1));
    } catch {
      return "";
    }
    if (tables.has(id) || exposures.has(id)) return id;
    return tables.get(tableOf(id))?.columns.some(([column]) => column === columnOf(id)) ? id : "";
  };

  const show = (focus = true) => {
    const id = asked();
    main.classList.toggle("chosen", Boolean(id));
    about.hidden = byId("all").hidden = !id;
    if (!id) overview();
    else if (tables.has(id) || exposures.has(id)) viewOfTable(id);
    else viewOfColumn(id);
    const node = graph.querySelector(".node.asked");
    if (node) {
      canvas.scrollTo({
        left: node.offsetLeft - (canvas.clientWidth - node.offsetWidth) / 2,
        top: node.offsetTop - 24,
      });
      about.scrollTop = 0;
      // the keyboard goes on where the answer is
      if (focus) about.querySelector("h2").focus({ preventScroll: window.innerWidth > 960 });
    }
    document.documentElement.dataset.shown = id || "everything";
  };

  // search

  const entries = [
    ...[...exposures].map(([id, e]) => ({ id, text: e.label, note: e.kind })),
    ...data.tables.map((t) => ({ id: t.name, text: t.name, note: t.kind })),
    ...data.tables.flatMap((t) => t.columns.map(([c]) => ({ id: `${t.name}.${c}`, text: `${t.name}.${c}`, note: "column" }))),
  ];
  let chosen = 0;

  const matches = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length) return [];
    const fits = entries.filter(({ text }) => words.every((word) => text.toLowerCase().includes(word)));
    const rank = ({ text, note }) => (note === "column" ? 1 : 0) + (text.toLowerCase().includes(`.${words[0]}`) ? 0 : 0.5);
    return fits.sort((a, b) => rank(a) - rank(b)).slice(0, 12);
  };
  const offer = () => {
    const hits = matches();
    chosen = Math.min(chosen, Math.max(0, hits.length - 1));
    found.hidden = !search.value.trim();
    search.setAttribute("aria-expanded", String(!found.hidden));
    search.setAttribute("aria-activedescendant", hits.length ? `hit-${chosen}` : "");
    found.replaceChildren(
      ...hits.map(({ id, text, note }, n) => {
        const item = element("li", { id: `hit-${n}`, role: "option", "aria-selected": String(n === chosen) }, text, element("small", {}, note));
        item.addEventListener("mousedown", (event) => {
          event.preventDefault();
          go(id);
        });
        return item;
      }),
      ...(hits.length ? [] : [element("li", { class: "none" }, "Nothing is called like this.")]),
    );
    found.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
    return hits;
  };
  const go = (id) => {
    search.value = "";
    found.hidden = true;
    search.setAttribute("aria-expanded", "false");
    if (location.hash === `#${encodeURIComponent(id)}`) show();
    else location.hash = encodeURIComponent(id);
  };
  search.addEventListener("input", () => {
    chosen = 0;
    offer();
  });
  search.addEventListener("blur", () => {
    found.hidden = true;
    search.setAttribute("aria-expanded", "false");
  });
  search.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      chosen = Math.max(0, chosen + (event.key === "ArrowDown" ? 1 : -1));
      offer();
    }
  });
  search.form.addEventListener("submit", (event) => {
    event.preventDefault();
    const hit = offer()[chosen];
    if (hit) go(hit.id);
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/" && event.target !== search) {
      event.preventDefault();
      search.focus();
    } else if (event.key === "Escape") {
      if (search.value) search.value = "";
      else if (asked()) location.hash = "";
      found.hidden = true;
    }
  });

  for (const schema of schemas) {
    const entry = element("span", {}, schema);
    entry.style.setProperty("--of", colour(`${schema}.`));
    byId("legend").append(entry);
  }
  if (exposures.size) {
    const entry = element("span", {}, "dashboards and models");
    entry.style.setProperty("--of", "var(--series-2)");
    byId("legend").append(entry);
  }
  window.addEventListener("hashchange", () => show());
  show(false);
})();
