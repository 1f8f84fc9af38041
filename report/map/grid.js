// The grid: what is shown, and drawing the part of it that is in sight. details.js goes on from here.
const $ = (id) => document.getElementById(id);
const data = JSON.parse($('data').textContent);
const main = document.querySelector('main'), grid = $('grid'), canvas = $('canvas'), said = $('said');
const ruler = document.createElement('canvas').getContext('2d');
const places = new Intl.Collator('en', { numeric: true }); // n-2 before n-10
const ROW = 26, NODE = 112, BAND = 20, GAP = 10;
const hasZones = data.columns.some((c) => c.z);
const HEAD = NODE + BAND * (hasZones ? 2 : 1) + 6;
for (const row of data.rows) { // runs → one reason for each column
  row.cells = new Uint32Array(data.columns.length);
  for (let i = 0, at = 0; i < row.r.length; i += 2) {
    row.cells.fill(row.r[i], at, at += row.r[i + 1]);
  }
}

// What is shown: rows are {r} or {ns}, columns {c, nodes, x}; i and j count in these, and -1 is the headings.
const view = { rows: [], cols: [], width: 0, left: 0, cell: 0 };
const active = { i: -1, j: -1 };
const wanted = new Set(); // looks
let drawn = '', room = '', open = false; // what is drawn, and in how much room

const el = (tag, cls, text) => {
  const e = document.createElement(tag);
  if (cls) e.className = cls;
  if (text !== undefined) e.textContent = text;
  return e;
};
const px = (e, left, width) => { e.style.left = left + 'px'; e.style.width = width + 'px'; };
const reasonAt = (row, col) => data.reasons[data.rows[row.r].cells[col.c]];
const lookAt = (row, col) => data.looks[reasonAt(row, col).l];
const nameOf = (row) => row.ns + '/' + row.n;
const nodesOf = (col) => col.nodes.length === 1 ? 'node ' + col.nodes[0] : col.nodes.length + ' nodes, as ' + col.nodes[0];
const poolOf = (col) => data.pools[data.columns[col.c].p];
const many = (n, what) => n + ' ' + what + (n === 1 ? '' : 's');

// Filters.
function columnsFor(text, pool) {
  const fold = $('fold').checked, cols = [];
  data.columns.forEach((column, c) => {
    if (pool !== '' && column.p !== Number(pool)) return;
    const nodes = text ? column.n.filter((n) => n.toLowerCase().includes(text)) : column.n;
    if (fold && nodes.length) cols.push({ c, nodes });
    else for (const n of nodes) cols.push({ c, nodes: [n] });
  });
  if (fold) return cols;
  const place = (col) => data.columns[col.c];
  return cols.sort((a, b) => place(a).p - place(b).p || places.compare(place(a).z || '', place(b).z || '') || places.compare(a.nodes[0], b.nodes[0]));
}
function choose() {
  const text = $('text').value.trim().toLowerCase(), pool = $('pool').value, ns = $('namespace').value;
  let rows = data.rows.map((row, r) => ({ r, row })).filter((v) => !ns || v.row.ns === ns);
  let cols = columnsFor('', pool);
  if (text) {
    const ofRows = rows.filter((v) => nameOf(v.row).toLowerCase().includes(text)), ofCols = columnsFor(text, pool);
    if (ofRows.length || !ofCols.length) rows = ofRows;
    if (ofCols.length || !ofRows.length) cols = ofCols;
  }
  if (wanted.size) {
    const has = (v, col) => wanted.has(reasonAt(v, col).l);
    rows = rows.filter((v) => cols.some((col) => has(v, col)));
    cols = cols.filter((col) => rows.some((v) => has(v, col)));
  }
  view.cols = cols;
  view.rows = [];
  let last;
  for (const v of rows) {
    if (v.row.ns !== last) view.rows.push({ ns: last = v.row.ns });
    view.rows.push({ r: v.r });
  }
  const nodes = cols.reduce((sum, col) => sum + col.nodes.length, 0);
  $('shown').textContent = 'Showing ' + rows.length + ' of ' + many(data.rows.length, 'DaemonSet') + ' and ' + nodes + ' of ' +
    many(data.pools.reduce((sum, p) => sum + p.nodes, 0), 'node') + (cols.length < nodes ? ', in ' + many(cols.length, 'column') : '') + '.';
  active.i = Math.min(Math.max(active.i, 1), view.rows.length - 1);
  if (view.rows[active.i] && view.rows[active.i].r === undefined) active.i++;
  active.j = Math.min(Math.max(active.j, 0), cols.length - 1);
  measure();
}

// The grid: only what is in sight is in the document.
const roomNow = () => main.clientWidth + ' ' + grid.clientHeight;
function measure() {
  ruler.font = getComputedStyle(grid).font;
  const longest = data.rows.reduce((most, row) => Math.max(most, ruler.measureText(row.n).width, ruler.measureText(row.ns).width), 0);
  const whole = main.clientWidth, beside = open && whole > 700 ? 356 : 0; // the details stand beside the grid where there is room
  view.left = Math.min(Math.max(130, Math.ceil(longest) + 38), whole < 700 ? 150 : 300);
  const gaps = view.cols.filter((col, j) => j && poolOf(col) !== poolOf(view.cols[j - 1])).length * GAP;
  view.cell = Math.max(26, Math.min(52, Math.floor((whole - beside - view.left - gaps - 12) / (view.cols.length || 1))));
  let x = view.left + 4;
  view.cols.forEach((col, j) => {
    if (j && poolOf(col) !== poolOf(view.cols[j - 1])) x += GAP;
    col.x = x;
    x += view.cell;
  });
  view.width = x + 4;
  canvas.style.width = view.width + 'px';
  canvas.style.height = HEAD + view.rows.length * ROW + 4 + 'px';
  grid.setAttribute('aria-rowcount', view.rows.length + 1);
  grid.setAttribute('aria-colcount', view.cols.length + 1);
  room = whole + ' ' + grid.clientHeight; // which the canvas has just given it
  drawn = '';
  draw();
}
function columnAt(x) { // the first that ends behind x
  let low = 0, high = view.cols.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (view.cols[middle].x + view.cell <= x) low = middle + 1; else high = middle;
  }
  return low;
}
function inSight() {
  const top = grid.scrollTop, x = grid.scrollLeft, rows = [], cols = [];
  const lastRow = Math.min(view.rows.length, Math.ceil((top + grid.clientHeight - HEAD) / ROW) + 2);
  const lastCol = Math.min(view.cols.length, columnAt(x + grid.clientWidth) + 2);
  for (let i = Math.max(0, Math.floor(top / ROW) - 2); i < lastRow; i++) rows.push(i);
  for (let j = Math.max(0, columnAt(x + view.left) - 2); j < lastCol; j++) cols.push(j);
  if (active.i >= 0 && !rows.includes(active.i)) rows.push(active.i); // it keeps the focus
  if (active.j >= 0 && !cols.includes(active.j)) cols.push(active.j);
  return { rows: rows.sort((a, b) => a - b), cols: cols.sort((a, b) => a - b) };
}
function draw() {
  const sight = inSight(), key = JSON.stringify([sight, active, open, [...wanted]]);
  if (key === drawn) return;
  drawn = key;
  const focused = grid.contains(document.activeElement);
  const all = document.createDocumentFragment();
  all.append(headings(sight.cols));
  for (const i of sight.rows) all.append(line(i, sight.cols));
  canvas.replaceChildren(all);
  if (focused) focus();
}
function mark(e, i, j, role) { // one place of the grid
  e.setAttribute('role', role);
  e.setAttribute('aria-colindex', j + 2);
  e.dataset.i = i;
  e.dataset.j = j;
  e.tabIndex = i === active.i && j === active.j ? 0 : -1;
  if (open && e.tabIndex === 0) e.classList.add('open');
  return e;
}
function headings(cols) {
  const head = el('div', 'row head'), corner = el('div', 'corner', view.left < 200 ? 'DaemonSet' : 'DaemonSet, by namespace');
  head.setAttribute('role', 'row');
  head.setAttribute('aria-rowindex', 1);
  head.style.height = HEAD + 'px';
  px(corner, 0, view.left);
  corner.style.left = 0;
  head.append(mark(corner, -1, -1, 'columnheader'));
  bands(head, cols, 'pool', 2, (col) => data.columns[col.c].p, (col) => poolOf(col).name);
  if (hasZones) bands(head, cols, 'quiet', 2 + BAND, (col) => data.columns[col.c].p + ' ' + data.columns[col.c].z, (col) => data.columns[col.c].z || 'no zone');
  for (const j of cols) {
    const col = view.cols[j], e = el('div', 'node');
    e.append(el('span', '', col.nodes[0]));
    if (col.nodes.length > 1) e.append(el('b', '', '+' + (col.nodes.length - 1)));
    px(e, col.x, view.cell);
    e.title = col.nodes.slice(0, 8).join(', ') + (col.nodes.length > 8 ? ' and ' + (col.nodes.length - 8) + ' more' : '');
    e.setAttribute('aria-label', nodesOf(col) + ', pool ' + poolOf(col).name + (data.columns[col.c].z ? ', zone ' + data.columns[col.c].z : ''));
    head.append(mark(e, -1, j, 'columnheader'));
  }
  return head;
}
function bands(head, cols, cls, top, same, name) { // over neighbours that have something in common
  for (let k = 0; k < cols.length;) {
    const first = view.cols[cols[k]];
    let last = first;
    while (k < cols.length && same(view.cols[cols[k]]) === same(first)) last = view.cols[cols[k++]];
    const e = el('div', 'band ' + cls), text = el('span', '', name(first));
    px(e, first.x + 1, last.x + view.cell - first.x - 2);
    e.style.top = top + 'px';
    text.style.left = view.left + 4 + 'px';
    e.title = name(first);
    e.setAttribute('aria-hidden', 'true');
    e.append(text);
    head.append(e);
  }
}
function line(i, cols) {
  const v = view.rows[i], e = el('div', 'row'), name = el('div', 'name');
  e.setAttribute('role', 'row');
  e.setAttribute('aria-rowindex', i + 2);
  e.style.top = HEAD + i * ROW + 'px';
  name.style.width = view.left + 'px';
  if (v.r === undefined) {
    e.classList.add('space');
    name.textContent = v.ns;
    name.setAttribute('role', 'rowheader');
    e.append(name);
    return e;
  }
  const row = data.rows[v.r];
  name.textContent = name.title = row.n;
  name.setAttribute('aria-label', nameOf(row) + ': ' + runs(row));
  e.append(mark(name, i, -1, 'rowheader'));
  for (const j of cols) {
    const col = view.cols[j], reason = reasonAt(v, col), look = data.looks[reason.l];
    if (!look) continue;
    const c = el('div', 'cell ' + look.class + (wanted.size && !wanted.has(reason.l) ? ' dim' : ''), look.sign);
    px(c, col.x + 1, view.cell - 2);
    c.setAttribute('aria-label', nameOf(row) + ' on ' + nodesOf(col) + ': ' + look.label + (reason.b ? ', by ' + reason.b : ''));
    e.append(mark(c, i, j, 'gridcell'));
  }
  return e;
}
function runs(row) {
  if (!data.pods) return 'would run on ' + many(row.want, 'node');
  return 'runs on ' + row.runs + ' of ' + many(row.want, 'node');
}

function focus() {
  const e = canvas.querySelector('[tabindex="0"]');
  if (e) e.focus({ preventScroll: true });
}
