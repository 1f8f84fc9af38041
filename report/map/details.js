// What a place of the grid says, the keys, the filters, the colours, and the tables for the printer.
function definition(pairs) {
  const dl = el('dl');
  for (const [term, value] of pairs) {
    if (value) dl.append(el('dt', '', term), el('dd', '', value));
  }
  return dl;
}
function list(title, items, most) {
  const part = el('div'), ul = el('ul');
  for (const item of items.slice(0, most)) ul.append(el('li', '', item));
  if (items.length > most) ul.append(el('li', 'quiet', 'and ' + (items.length - most) + ' more'));
  part.append(el('h3', '', title), ul);
  return part;
}
function chip(look) {
  const e = el('p', 'chip'), sign = el('span', 'cell ' + look.class, look.sign);
  sign.setAttribute('aria-hidden', 'true');
  e.append(sign, look.label);
  return e;
}
function command(text) {
  const part = el('div');
  part.append(el('h3', '', 'All there is to say'), el('code', '', text));
  return part;
}
const quoted = (row) => 'berth explain ds/' + row.n + ' -n ' + row.ns;

function cellDetails(v, col) {
  const row = data.rows[v.r], reason = reasonAt(v, col), look = data.looks[reason.l], one = col.nodes.length === 1;
  said.append(el('h2', '', nameOf(row)));
  if (!look) {
    said.append(el('p', '', 'Nothing is known of it on ' + col.nodes[0] + '.'));
    return;
  }
  said.append(chip(look));
  for (const text of reason.t) said.append(el('p', '', text));
  said.append(definition([['Node', one && col.nodes[0]], ['Pool', poolOf(col).name], ['Zone', data.columns[col.c].z], ['Excluded by', reason.b],
    ['Requests', row.c + ' CPU, ' + row.m + ' memory']]));
  if (!one) said.append(list('The same on ' + many(col.nodes.length, 'node'), col.nodes, 30));
  if (data.live) said.append(command(quoted(row) + ' --node ' + col.nodes[0]));
}
function rowDetails(v) {
  const row = data.rows[v.r], cells = new Map();
  said.append(el('h2', '', nameOf(row)), el('p', '', 'It ' + runs(row) + (data.pods ? ' that it should run on' : '') + '.'));
  said.append(definition([['Each requests', row.c + ' CPU, ' + row.m + ' memory'], ['Policies', (row.p || []).join(', ') || 'none applies']]));
  for (const text of row.out || []) said.append(el('p', '', 'berth is not asked about it: ' + text));
  data.columns.forEach((column, c) => cells.set(row.cells[c], (cells.get(row.cells[c]) || 0) + column.n.length));
  for (const [reason, nodes] of cells) {
    const r = data.reasons[reason], look = data.looks[r.l];
    if (!look) continue;
    said.append(chip({ ...look, label: look.label + ': ' + many(nodes, 'node') }));
    for (const text of r.t.slice(r.t.length > 1 ? 1 : 0)) said.append(el('p', 'quiet', text));
  }
  if (row.w) said.append(list('What decides on nodes in its template', row.w.map(([field, what, by]) => field + ': ' + what + ', by ' + by), 40));
  if (data.live) said.append(command(quoted(row)));
}
function columnDetails(col) {
  const column = data.columns[col.c], one = col.nodes.length === 1, troubles = [], looks = new Map();
  said.append(el('h2', '', one ? col.nodes[0] : many(col.nodes.length, 'equal node')));
  const each = column.c + ' CPU, ' + column.m + ' memory';
  said.append(definition([['Pool', poolOf(col).name], ['Label', poolOf(col).label], ['Zone', column.z], [one ? 'DaemonSets request' : 'On each is requested', each],
    ['On the pool', poolOf(col).cpu + ' CPU, ' + poolOf(col).memory + ' memory']]));
  for (const row of data.rows) {
    const reason = data.reasons[row.cells[col.c]], look = data.looks[reason.l];
    if (!look) continue;
    looks.set(look, (looks.get(look) || 0) + 1);
    if (['way', 'unready', 'unschedulable', 'missing', 'until', 'leaving'].includes(look.class)) troubles.push(nameOf(row) + ': ' + look.label.toLowerCase());
  }
  for (const [look, n] of looks) said.append(chip({ ...look, label: look.label + ': ' + many(n, 'DaemonSet') }));
  if (troubles.length) said.append(list('Not as it should be', troubles, 40));
  if (!one) said.append(list('Nodes', col.nodes, 60));
}
function show() {
  const v = view.rows[active.i], col = view.cols[active.j];
  if (!v && !col) return hide();
  said.replaceChildren();
  if (v && col) cellDetails(v, col); else if (v) rowDetails(v); else columnDetails(col);
  open = true;
  if ($('details').hidden) {
    $('details').hidden = false;
    measure(); // there is less room now
  }
  reveal();
}
function hide() {
  open = false;
  $('details').hidden = true;
  measure();
}

// Keys and clicks.
function reveal() { // brings the active place into sight
  if (active.i >= 0) {
    const y = active.i * ROW;
    grid.scrollTop = Math.min(Math.max(grid.scrollTop, y + ROW + HEAD - grid.clientHeight + 8), active.i === 1 ? 0 : y);
  }
  const col = view.cols[active.j];
  if (col) grid.scrollLeft = Math.min(Math.max(grid.scrollLeft, col.x + view.cell + 8 - grid.clientWidth), col.x - view.left - 4);
  draw();
}
function move(i, j) {
  const step = i < active.i ? -1 : 1;
  i = Math.min(Math.max(i, -1), view.rows.length - 1);
  if (i >= 0 && view.rows[i].r === undefined) i += step; // over the name of a namespace
  active.i = i;
  active.j = Math.min(Math.max(j, -1), view.cols.length - 1);
  if (open) show(); else reveal();
  focus();
}
grid.addEventListener('keydown', (event) => {
  const page = Math.max(1, Math.floor((grid.clientHeight - HEAD) / ROW) - 1), { i, j } = active;
  const all = event.ctrlKey || event.metaKey;
  const to = {
    ArrowUp: () => move(i - 1, j), ArrowDown: () => move(i + 1, j), ArrowLeft: () => move(i, j - 1), ArrowRight: () => move(i, j + 1),
    PageUp: () => move(Math.max(i - page, 1), j), PageDown: () => move(i + page, j),
    Home: () => move(all ? 1 : i, 0), End: () => move(all ? view.rows.length - 1 : i, view.cols.length - 1),
    Enter: show, ' ': show,
  }[event.key];
  if (!to || event.altKey) return;
  event.preventDefault();
  to();
});
document.addEventListener('keydown', (event) => {
  if (event.key !== 'Escape' || !open) return;
  hide();
  focus();
});
grid.addEventListener('click', (event) => {
  const e = event.target.closest('[data-i]');
  if (!e) return;
  active.i = Number(e.dataset.i);
  active.j = Number(e.dataset.j);
  show();
  focus();
});
$('close').addEventListener('click', () => { hide(); focus(); });
grid.addEventListener('scroll', () => requestAnimationFrame(draw), { passive: true });
new ResizeObserver(() => { if (roomNow() !== room) measure(); }).observe(main);

// Filters.
function changed() {
  if (open) hide();
  choose();
  grid.scrollTo(0, 0);
}
for (const ns of new Set(data.rows.map((row) => row.ns))) $('namespace').append(new Option(ns, ns));
data.pools.forEach((pool, p) => $('pool').append(new Option(pool.name + ' (' + many(pool.nodes, 'node') + ')', p)));
$('filters').addEventListener('input', changed);
$('filters').addEventListener('submit', (event) => event.preventDefault());
$('filters').addEventListener('reset', () => {
  wanted.clear();
  for (const chip of document.querySelectorAll('#states .chip')) chip.setAttribute('aria-pressed', 'false');
  setTimeout(changed); // when the fields are empty again
});
for (const button of document.querySelectorAll('#states .chip')) {
  const look = data.looks.findIndex((l) => l.class === button.dataset.class);
  button.addEventListener('click', () => {
    if (!wanted.delete(look)) wanted.add(look);
    button.setAttribute('aria-pressed', wanted.has(look));
    changed();
  });
}

// Light and dark: the system's, until somebody says otherwise.
const root = document.documentElement, systemDark = matchMedia('(prefers-color-scheme: dark)');
const isDark = () => root.dataset.theme ? root.dataset.theme === 'dark' : systemDark.matches;
const tellTheme = () => $('theme').setAttribute('aria-pressed', isDark());
$('theme').addEventListener('click', () => { root.dataset.theme = isDark() ? 'light' : 'dark'; tellTheme(); });
systemDark.addEventListener('change', tellTheme);
tellTheme();

// On paper: plain tables, as many columns in each as fit.
const ACROSS = 36, MOST = 40000;
addEventListener('beforeprint', () => {
  const paper = $('print');
  paper.replaceChildren();
  if (view.rows.length * view.cols.length > MOST) {
    paper.append(el('p', '', 'The grid is too large for paper: filter it first.'));
    return;
  }
  for (let from = 0; from < view.cols.length; from += ACROSS) paper.append(printed(view.cols.slice(from, from + ACROSS)));
});
addEventListener('afterprint', () => $('print').replaceChildren());
function printed(cols) {
  const table = el('table'), head = el('thead'), body = el('tbody'), pools = el('tr'), names = el('tr');
  pools.append(el('td'));
  names.append(el('td'));
  cols.forEach((col, k) => {
    if (!k || poolOf(col) !== poolOf(cols[k - 1])) {
      const th = el('td', 'pool', poolOf(col).name);
      th.colSpan = cols.filter((c) => poolOf(c) === poolOf(col)).length;
      pools.append(th);
    }
    names.append(el('th', '', col.nodes[0] + (col.nodes.length > 1 ? ' +' + (col.nodes.length - 1) : '')));
  });
  head.append(pools, names);
  for (const v of view.rows) {
    if (v.r === undefined) continue;
    const tr = el('tr');
    tr.append(el('th', '', nameOf(data.rows[v.r])));
    for (const col of cols) {
      const look = lookAt(v, col);
      tr.append(look ? el('td', 'cell ' + look.class, look.sign) : el('td'));
    }
    body.append(tr);
  }
  table.append(head, body);
  return table;
}
choose();
