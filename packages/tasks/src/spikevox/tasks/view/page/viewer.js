// The page of spikevox's viewer: reads the scenes that stand in the page and draws them with three.js.
"use strict";
(function () {
  // More cubes than these and each site is a square that faces the viewer: a twelfth of the triangles.
  const MOST_CUBES = 20000;
  // While the view moves, fewer points are drawn where a frame would take longer than this many milliseconds.
  const SLOW = 70, QUICK = 35, AIM = 50;
  const GROUND = [0x12, 0x15, 0x1a], SILENT = [70, 76, 88];
  const at = (id) => document.getElementById(id);
  const manifest = JSON.parse(at("manifest").textContent);
  const kinds = { uint8: Uint8Array, uint16: Uint16Array, float32: Float32Array };
  let buffer, renderer, camera, controls, scene, current = null, pending = false, playing = null;
  let share = 1, fitted = null, movedAt = -1e9, frameAt = -1e9, rest = null;
  let scale = Object.keys(manifest.scales)[0];

  function element(tag, text, attributes) {
    const made = document.createElement(tag);
    // Text from files is only ever set as text.
    if (text !== undefined) made.textContent = text;
    for (const [name, value] of Object.entries(attributes || {})) made.setAttribute(name, value);
    return made;
  }

  function fail(text) {
    at("failed").textContent = text;
    at("failed").hidden = false;
  }

  // ---- data ----
  async function inflate(text) {
    const letters = atob(text.trim());
    const bytes = new Uint8Array(letters.length);
    for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(stream).arrayBuffer();
  }
  const array = (ref) => new kinds[ref.type](buffer, ref.at, ref.count);

  const kept = new Map();
  function places(described, origin) {
    const key = JSON.stringify([described, origin]);
    if (kept.has(key)) return kept.get(key);
    const result = new Float32Array(3 * described.count);
    ["x", "y", "z"].forEach((name, axis) => {
      const { low, step } = described[name], whole = array(described[name]);
      for (let i = 0; i < described.count; i++) result[3 * i + axis] = low - origin[axis] + step * whole[i];
    });
    kept.set(key, result);
    return result;
  }

  function values(field) {
    const whole = array(field.data), result = new Float32Array(whole.length);
    for (let i = 0; i < whole.length; i++) result[i] = field.data.low + field.data.step * whole[i];
    return result;
  }

  // The middle 98 of 100 values: one far off would leave all others one colour.
  function range(numbers) {
    const every = Math.max(1, Math.floor(numbers.length / 20000));
    const sorted = numbers.filter((_, i) => i % every === 0).sort();
    const low = sorted[Math.floor(0.01 * (sorted.length - 1))], high = sorted[Math.ceil(0.99 * (sorted.length - 1))];
    return { low, high, below: sorted[0] < low, above: sorted[sorted.length - 1] > high };
  }

  function mix(share) {
    const stops = manifest.scales[scale], place = Math.min(1, Math.max(0, share)) * (stops.length - 1);
    const below = Math.floor(place), above = Math.min(stops.length - 1, below + 1), part = place - below;
    return [0, 1, 2].map((i) => stops[below][i] + part * (stops[above][i] - stops[below][i]));
  }
  function scaleTable() {
    return Array.from({ length: 256 }, (_, i) => mix(i / 255));
  }

  const short = (number) => {
    const size = Math.abs(number);
    return number === 0 ? "0" : size >= 1e4 || size < 1e-2 ? number.toExponential(2) : String(Number(number.toPrecision(3)));
  };

  // ---- drawing ----
  const VERTEX_POINT = `
    uniform float size; uniform float reach; uniform float least; attribute vec4 color; varying vec3 shade;
    void main() {
      shade = color.rgb;
      gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0);
      if (color.a == 0.0) gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
      gl_PointSize = clamp(size * color.a * reach / gl_Position.w, least, 64.0);
    }`;
  const FRAGMENT = `varying vec3 shade; void main() { gl_FragColor = vec4(shade, 1.0); }`;
  const VERTEX_CUBE = `
    uniform vec3 size; attribute vec3 place; attribute vec4 color; varying vec3 shade;
    void main() {
      shade = color.rgb * (0.80 + 0.20 * normal.z - 0.12 * abs(normal.x));
      gl_Position = projectionMatrix * modelViewMatrix * vec4(place + position * size * color.a, 1.0);
    }`;

  function cube() {
    const position = [], normal = [];
    for (let axis = 0; axis < 3; axis++) {
      for (const side of [-1, 1]) {
        const corner = (a, b) => {
          const point = [0, 0, 0];
          point[axis] = side / 2; point[(axis + 1) % 3] = a / 2; point[(axis + 2) % 3] = b / 2;
          return point;
        };
        const [p, q, r, s] = [corner(-1, -1), corner(1, -1), corner(1, 1), corner(-1, 1)];
        for (const point of side > 0 ? [p, q, r, p, r, s] : [p, r, q, p, s, r]) {
          position.push(...point);
          normal.push(...[0, 1, 2].map((i) => (i === axis ? side : 0)));
        }
      }
    }
    return { position: new Float32Array(position), normal: new Float32Array(normal) };
  }

  // All numbers below count, in an order of which any beginning is spread evenly over all.
  function scattered(count) {
    const gcd = (a, b) => (b ? gcd(b, a % b) : a), order = new Uint32Array(count);
    let stride = Math.max(1, Math.round(count * 0.6180339887));
    while (gcd(stride, count) !== 1) stride++;
    for (let i = 0, at = 0; i < count; i++, at = (at + stride) % count) order[i] = at;
    return order;
  }

  const screenColour = (parts) => new THREE.Color().setRGB(...parts.map((part) => part / 255), THREE.LinearSRGBColorSpace);

  function drawn(layer) {
    const data = places(layer.places, current.origin), count = layer.places.count;
    const color = new Uint8Array(4 * count).fill(255);
    const cubes = layer.size && count <= MOST_CUBES;
    let object, attribute;
    if (cubes) {
      const geometry = new THREE.InstancedBufferGeometry(), { position, normal } = cube();
      geometry.setAttribute("position", new THREE.BufferAttribute(position, 3));
      geometry.setAttribute("normal", new THREE.BufferAttribute(normal, 3));
      geometry.setAttribute("place", new THREE.InstancedBufferAttribute(data, 3));
      attribute = new THREE.InstancedBufferAttribute(color, 4, true);
      geometry.setAttribute("color", attribute);
      geometry.instanceCount = count;
      const uniforms = { size: { value: new THREE.Vector3(...layer.size) } };
      object = new THREE.Mesh(geometry, new THREE.ShaderMaterial({ uniforms, vertexShader: VERTEX_CUBE, fragmentShader: FRAGMENT }));
    } else {
      const geometry = new THREE.BufferGeometry();
      geometry.setAttribute("position", new THREE.BufferAttribute(data, 3));
      attribute = new THREE.BufferAttribute(color, 4, true);
      geometry.setAttribute("color", attribute);
      geometry.setIndex(new THREE.BufferAttribute(scattered(count), 1));
      const uniforms = {
        size: { value: layer.size ? Math.max(...layer.size) : 1 }, reach: { value: 1 }, least: { value: layer.size ? 2 : 1.5 },
      };
      object = new THREE.Points(geometry, new THREE.ShaderMaterial({ uniforms, vertexShader: VERTEX_POINT, fragmentShader: FRAGMENT }));
    }
    object.frustumCulled = false;
    object.userData.sites = Boolean(layer.size);
    scene.add(object);
    return { object, color, attribute, data, count };
  }

  function boxLines(layer) {
    const table = array(layer.boxes), origin = current.origin, lines = [], centres = [];
    for (let row = 0; row < table.length; row += 7) {
      const [x, y, z, length, width, height, yaw] = table.subarray(row, row + 7);
      const corner = (a, b, c) => {
        const u = (a * length) / 2, v = (b * width) / 2;
        return [x - origin[0] + u * Math.cos(yaw) - v * Math.sin(yaw), y - origin[1] + u * Math.sin(yaw) + v * Math.cos(yaw),
          z - origin[2] + (c * height) / 2];
      };
      for (const a of [-1, 1]) {
        for (const b of [-1, 1]) {
          lines.push(...corner(a, b, -1), ...corner(a, b, 1), ...corner(-1, a, b), ...corner(1, a, b), ...corner(a, -1, b), ...corner(a, 1, b));
        }
      }
      lines.push(...corner(0, 0, -1), ...corner(1, 0, -1));
      centres.push(...corner(0, 0, 0));
    }
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", new THREE.BufferAttribute(new Float32Array(lines), 3));
    const object = new THREE.LineSegments(geometry, new THREE.LineBasicMaterial({ color: screenColour(layer.colour), toneMapped: false }));
    object.frustumCulled = false;
    scene.add(object);
    return { object, data: new Float32Array(centres), count: centres.length / 3 };
  }

  function paint(entry) {
    const field = entry.layer.fields[entry.field], { color, count } = entry;
    if (field.kind === "classes") {
      const classes = array(field.data);
      for (let i = 0; i < count; i++) {
        const number = classes[i], shown = !entry.hidden.has(number);
        color.set(field.colours[number], 4 * i);
        color[4 * i + 3] = shown ? 230 : 0;
      }
    } else {
      const numbers = (entry.numbers[entry.field] ||= values(field)), { low, high } = (entry.ranges[entry.field] ||= range(numbers));
      const table = scaleTable(), factor = high > low ? 255 / (high - low) : 0;
      for (let i = 0; i < count; i++) {
        color.set(table[Math.round(Math.min(255, Math.max(0, factor * (numbers[i] - low))))], 4 * i);
        color[4 * i + 3] = 230;
      }
    }
    entry.attribute.needsUpdate = true;
    legend(entry);
    draw();
  }

  // ---- spikes ----
  function spikeCounts(layer) {
    const sites = layer.places.count, counts = array(layer.counts), { step, level } = current.spikes;
    const result = new Float32Array(sites);
    for (let t = 0; t < layer.steps; t++) {
      if (step && step !== t + 1) continue;
      for (let d = 0; d < layer.levels; d++) {
        if (level && level !== d + 1) continue;
        const start = (t * layer.levels + d) * sites;
        for (let i = 0; i < sites; i++) result[i] += counts[start + i];
      }
    }
    const share = layer.channels * (step ? 1 : layer.steps);
    return result.map((sum) => sum / share);
  }

  function showSpikes() {
    const spikes = current.spikes;
    if (!spikes) return;
    const layer = spikes.layers[spikes.at];
    if (spikes.shown !== layer) {
      if (spikes.entry) remove(spikes.entry);
      spikes.entry = drawn(layer);
      spikes.shown = layer;
      spikes.step = Math.min(spikes.step, layer.steps);
      spikes.level = Math.min(spikes.level, layer.levels);
    }
    const rates = (spikes.rates = spikeCounts(layer)), { color, count, attribute, object } = spikes.entry, table = scaleTable();
    const top = rates.reduce((a, b) => Math.max(a, b), 0);
    let silent = 0, sum = 0;
    for (let i = 0; i < count; i++) {
      sum += rates[i];
      silent += rates[i] === 0;
      color.set(rates[i] === 0 ? SILENT : table[Math.round((255 * rates[i]) / top)], 4 * i);
      color[4 * i + 3] = rates[i] === 0 ? 70 : 240;
    }
    attribute.needsUpdate = true;
    object.visible = spikes.on;
    at("spikes-on").checked = spikes.on;
    at("spike-layer").value = at("spike-layer-at").value = spikes.at;
    at("spike-step").max = layer.steps;
    at("spike-level").max = layer.levels;
    at("spike-step").value = spikes.step;
    at("spike-level").value = spikes.level;
    at("spike-step-said").textContent = spikes.step ? `${spikes.step} of ${layer.steps}` : layer.steps > 1 ? "all" : "1 of 1";
    at("spike-level-said").textContent = spikes.level ? `${spikes.level} of ${layer.levels}` : "all";
    const what = spikes.level ? `share of ${layer.channels} channels that fire` : `spikes a channel and time step, ${layer.channels} channels`;
    const rate = count ? sum / count : 0;
    at("spike-legend").replaceChildren(
      element("div", `${spikes.at + 1} of ${spikes.layers.length}: ${layer.name}`, { class: "name" }),
      bar(0, top, "", false, false),
      element("div", `${what}; mean ${short(rate)}`, { class: "ends" }),
      element("div", `${silent} of ${count} sites silent: small and grey`, { class: "ends" }),
    );
    draw();
  }

  // ---- panel ----
  function bar(low, high, unit, below, above) {
    const stops = manifest.scales[scale].map((c) => `rgb(${c.join(",")})`).join(",");
    const strip = element("div", "", { class: "bar", role: "img", "aria-label": `colours from ${short(low)} to ${short(high)} ${unit}` });
    strip.style.background = `linear-gradient(to right, ${stops})`;
    const ends = element("div", undefined, { class: "ends" });
    ends.append(element("span", `${below ? "≤ " : ""}${short(low)}`), element("span", unit), element("span", `${above ? "≥ " : ""}${short(high)}`));
    const both = element("div");
    both.append(strip, ends);
    return both;
  }

  function legend(entry) {
    const field = entry.layer.fields[entry.field];
    if (field.kind === "values") {
      const { low, high, below, above } = entry.ranges[entry.field];
      entry.legend.replaceChildren(bar(low, high, field.unit, below, above));
      return;
    }
    const counts = new Array(field.names.length).fill(0);
    for (const number of array(field.data)) counts[number]++;
    const list = element("div", undefined, { class: "classes", role: "group", "aria-label": "classes, press to hide" });
    field.names.forEach((name, number) => {
      if (!counts[number]) return;
      const button = element("button", undefined, { "aria-pressed": String(!entry.hidden.has(number)), title: "show or hide" });
      const swatch = element("span", undefined, { class: "swatch" });
      swatch.style.background = `rgb(${field.colours[number].join(",")})`;
      button.append(swatch, element("span", `${name} ${counts[number]}`));
      button.addEventListener("click", () => {
        if (!entry.hidden.delete(number)) entry.hidden.add(number);
        paint(entry);
      });
      list.append(button);
    });
    entry.legend.replaceChildren(list);
  }

  function addLayer(layer) {
    const entry = { layer, field: 0, hidden: new Set(), numbers: {}, ranges: {}, legend: element("div") };
    const section = element("section"), label = element("label"), head = element("h2");
    entry.box = element("input", undefined, { type: "checkbox" });
    entry.box.checked = true;
    entry.box.addEventListener("change", () => show(entry, entry.box.checked));
    Object.assign(entry, layer.kind === "boxes" ? boxLines(layer) : drawn(layer));
    label.append(entry.box, ` ${layer.name} (${entry.count})`);
    head.append(label);
    section.append(head);
    if (layer.kind === "boxes") {
      const swatch = element("span", undefined, { class: "swatch" });
      swatch.style.cssText = `display:inline-block;margin-left:8px;background:rgb(${layer.colour.join(",")})`;
      head.append(swatch);
    } else {
      entry.select = select(layer.fields.map((field) => field.name), (chosen) => { entry.field = chosen; entry.hidden.clear(); paint(entry); });
      entry.select.setAttribute("aria-label", `colours of ${layer.name}`);
      if (layer.fields.length > 1) {
        const row = element("div", undefined, { class: "row" });
        row.append(element("label", "Coloured by"), entry.select);
        section.append(row);
      }
      section.append(entry.legend);
    }
    at("layers").append(section);
    current.entries.push(entry);
    if (layer.kind !== "boxes") paint(entry);
    show(entry, layer.shown && !(layer.kind === "points" && current.described.spikes_shown));
  }

  function select(names, chosen, made) {
    const list = made || element("select");
    list.replaceChildren(...names.map((name, i) => element("option", name, { value: i })));
    list.onchange = () => chosen(Number(list.value));
    return list;
  }

  function show(entry, visible) {
    entry.object.visible = entry.box.checked = visible;
    draw();
  }

  function remove(entry) {
    scene.remove(entry.object);
    entry.object.geometry.dispose();
    entry.object.material.dispose();
  }

  // ---- scenes ----
  function open(index) {
    stop();
    if (current) {
      current.entries.forEach(remove);
      if (current.spikes && current.spikes.entry) remove(current.spikes.entry);
    }
    kept.clear();
    at("layers").replaceChildren();
    at("picked").hidden = true;
    const described = manifest.scenes[index], placed = described.layers.filter((layer) => layer.places);
    const first = placed[0] && placed[0].places, middle = (a) => a.low + (a.step * 65535) / 2;
    current = { index, described, entries: [], spikes: null, origin: first ? ["x", "y", "z"].map((n) => middle(first[n])) : [0, 0, 0] };
    at("title").textContent = described.title;
    at("notes").replaceChildren(...described.notes.map((note) => element("div", note)));
    document.title = described.title;
    described.layers.filter((layer) => layer.kind !== "spikes").forEach(addLayer);
    const layers = described.layers.filter((layer) => layer.kind === "spikes");
    at("spikes").hidden = !layers.length;
    if (layers.length) {
      current.spikes = { layers, at: 0, step: 0, level: 0, on: described.spikes_shown };
      select(layers.map((layer) => layer.name), (chosen) => { current.spikes.at = chosen; showSpikes(); }, at("spike-layer"));
      at("spike-layer-at").max = layers.length - 1;
      showSpikes();
    }
    const error = Math.max(0, ...placed.map((layer) => layer.places.error));
    at("precision").textContent = placed.length ? `Places are within ${short(1000 * error)} mm of what was given, an axis.` : "";
    at("sample").value = index;
    home();
  }

  function extent() {
    const all = current.entries.map((entry) => entry.data).concat(current.spikes ? [current.spikes.entry.data] : []).filter((d) => d.length);
    const data = all.reduce((a, b) => (b.length > a.length ? b : a), new Float32Array([0, 0, 0]));
    const every = 3 * Math.max(1, Math.floor(data.length / 60000)), axes = [[], [], []];
    for (let i = 0; i < data.length; i += every) axes.forEach((axis, k) => axis.push(data[i + k]));
    axes.forEach((axis) => axis.sort((a, b) => a - b));
    const part = (axis, share) => axis[Math.round(share * (axis.length - 1))];
    const centre = axes.map((axis) => (part(axis, 0.02) + part(axis, 0.98)) / 2);
    const radius = Math.hypot(...axes.map((axis) => part(axis, 0.98) - part(axis, 0.02))) / 2;
    return { centre, radius: Math.max(radius, 1e-3) };
  }

  function look(direction) {
    const { centre, radius } = extent(), size = Math.hypot(...direction);
    const narrow = Math.min(1, camera.aspect), distance = (0.8 * radius) / Math.sin((camera.fov * Math.PI) / 360) / narrow;
    camera.near = radius / 500;
    camera.far = radius * 200;
    // Few points are drawn larger, so that they make up a surface.
    current.entries.filter((entry) => entry.layer.kind === "points").forEach((entry) => {
      entry.object.material.uniforms.size.value = (0.8 * radius) / Math.sqrt(entry.count);
    });
    controls.target.set(...centre);
    camera.position.set(...centre.map((c, i) => c + (direction[i] / size) * distance));
    camera.updateProjectionMatrix();
    controls.update();
    fitted = direction;
    draw();
  }
  const home = () => look([-0.75, -1, 0.75]);
  const above = () => look([0, -1e-4, 1]);

  function turn(left, up) {
    const offset = camera.position.clone().sub(controls.target), flat = Math.hypot(offset.x, offset.y), radius = offset.length();
    const azimuth = Math.atan2(offset.y, offset.x) + left;
    const height = Math.min(1.5707, Math.max(-1.5707, Math.atan2(offset.z, flat) + up));
    offset.set(Math.cos(azimuth) * Math.cos(height), Math.sin(azimuth) * Math.cos(height), Math.sin(height)).multiplyScalar(radius);
    camera.position.copy(controls.target).add(offset);
    controls.update();
    moved();
  }
  function nearer(factor) {
    camera.position.sub(controls.target).multiplyScalar(factor).add(controls.target);
    controls.update();
    moved();
  }

  // ---- frames ----
  function render() {
    const height = renderer.domElement.height, reach = height / (2 * Math.tan((camera.fov * Math.PI) / 360));
    const factor = 2 ** Number(at("point-size").value), part = performance.now() - movedAt < 200 ? share : 1;
    scene.traverse((object) => {
      if (!object.isPoints) return;
      object.material.uniforms.reach.value = reach * (object.userData.sites ? 1 : factor);
      object.geometry.setDrawRange(0, Math.ceil(part * object.geometry.index.count));
    });
    renderer.render(scene, camera);
  }
  function draw() {
    if (pending) return;
    pending = true;
    requestAnimationFrame((now) => {
      pending = false;
      const took = now - frameAt;
      // Only between frames of one movement; a pause tells nothing.
      if (now - movedAt < 200 && took < 1000) {
        if (took > SLOW) share = Math.max(0.02, share * Math.max(0.4, AIM / took));
        else if (took < QUICK) share = Math.min(1, share * 1.1);
      }
      frameAt = now;
      render();
    });
  }
  function moved() {
    movedAt = performance.now();
    fitted = null;
    clearTimeout(rest);
    // When the view rests, all points are drawn.
    if (share < 1) rest = setTimeout(draw, 250);
    draw();
  }
  // Waits until the picture is there: reading one pixel leaves nothing to be done later.
  function finish() {
    const gl = renderer.getContext();
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
  }
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  // Once round the scene; milliseconds from frame to frame, each of them complete.
  async function orbit(frames) {
    const times = [];
    let before = await frame();
    for (let k = 0; k < frames; k++) {
      turn((2 * Math.PI) / frames, 0);
      const now = await frame();
      finish();
      times.push(now - before);
      before = now;
    }
    return times;
  }
  function resize() {
    renderer.setPixelRatio(Math.min(window.devicePixelRatio || 1, 2));
    renderer.setSize(window.innerWidth, window.innerHeight, false);
    camera.aspect = window.innerWidth / Math.max(1, window.innerHeight);
    // The panel covers a part of the window: the middle of the rest is the middle of the picture.
    const wide = window.innerWidth > 700, covered = wide ? [150, 0] : [0, at("panel").classList.contains("folded") ? 0 : window.innerHeight * 0.22];
    camera.setViewOffset(window.innerWidth, window.innerHeight, covered[0], covered[1], window.innerWidth, window.innerHeight);
    camera.updateProjectionMatrix();
    // A view that nobody has turned since is fitted to the new size.
    if (fitted) look(fitted);
    else draw();
  }

  // ---- what a place holds ----
  function pick(x, y) {
    const point = new THREE.Vector3(), width = window.innerWidth, height = window.innerHeight;
    let best = null;
    const candidates = current.entries.filter((entry) => entry.object.visible);
    if (current.spikes && current.spikes.on) candidates.push({ ...current.spikes.entry, layer: current.spikes.shown });
    for (const entry of candidates) {
      for (let i = 0; i < entry.count; i++) {
        if (entry.color && entry.color[4 * i + 3] === 0) continue;
        point.set(entry.data[3 * i], entry.data[3 * i + 1], entry.data[3 * i + 2]).project(camera);
        const far = Math.hypot(((point.x + 1) * width) / 2 - x, ((1 - point.y) * height) / 2 - y);
        // Of what lies within a few pixels, the nearest to the viewer.
        if (point.z < 1 && far < 12 && (!best || far + 4000 * point.z < best.rank)) best = { entry, i, rank: far + 4000 * point.z };
      }
    }
    if (!best) { at("picked").hidden = true; return; }
    const { entry, i } = best, lines = [`${entry.layer.name}, number ${i}`];
    const place = [0, 1, 2].map((k) => short(entry.data[3 * i + k] + current.origin[k]));
    lines.push(`x ${place[0]}, y ${place[1]}, z ${place[2]} m`);
    (entry.layer.fields || []).forEach((field, number) => {
      const said = field.kind === "classes" ? field.names[array(field.data)[i]] : `${short((entry.numbers[number] ||= values(field))[i])} ${field.unit}`;
      lines.push(`${field.name}: ${said}`);
    });
    if (entry.layer.kind === "boxes") lines.push(entry.layer.texts[i] || "");
    if (entry.layer.kind === "spikes") lines.push(`spikes a channel: ${short(current.spikes.rates[i])}`);
    at("picked").textContent = lines.join("\n");
    at("picked").hidden = false;
  }

  // ---- keys ----
  function spikesBy(name, change) {
    const spikes = current.spikes;
    if (!spikes) return;
    const layer = spikes.layers[spikes.at], sizes = { at: spikes.layers.length, step: layer.steps + 1, level: layer.levels + 1 };
    spikes[name] = (spikes[name] + change + sizes[name]) % sizes[name];
    spikes.on = true;
    showSpikes();
  }
  function stop() {
    clearInterval(playing);
    playing = null;
  }
  function play() {
    if (playing) return stop();
    if (!current.spikes) return undefined;
    playing = setInterval(() => {
      spikesBy("level", 1);
      if (current.spikes.level === 0) spikesBy("step", 1);
    }, 700);
    return undefined;
  }
  function nextField() {
    const entry = current.entries.find((e) => e.object.visible && e.select && e.layer.fields.length > 1);
    if (!entry) return;
    entry.field = entry.select.value = (entry.field + 1) % entry.layer.fields.length;
    entry.hidden.clear();
    paint(entry);
  }
  function useScale(name) {
    scale = name;
    at("scale").value = Object.keys(manifest.scales).indexOf(name);
    current.entries.filter((entry) => entry.select).forEach(paint);
    showSpikes();
  }
  function nextScale() {
    const names = Object.keys(manifest.scales);
    useScale(names[(names.indexOf(scale) + 1) % names.length]);
  }
  function sample(change) {
    const count = manifest.scenes.length;
    if (count > 1) open((current.index + change + count) % count);
  }
  const keys = {
    ArrowLeft: () => turn(-0.1, 0), ArrowRight: () => turn(0.1, 0), ArrowUp: () => turn(0, 0.1), ArrowDown: () => turn(0, -0.1),
    "+": () => nearer(0.85), "=": () => nearer(0.85), "-": () => nearer(1 / 0.85), r: home, t: above,
    c: nextField, p: nextScale, h: () => { at("keys").hidden = !at("keys").hidden; },
    s: () => { if (current.spikes) { current.spikes.on = !current.spikes.on; showSpikes(); } },
    l: () => spikesBy("at", 1), L: () => spikesBy("at", -1), "[": () => spikesBy("step", -1), "]": () => spikesBy("step", 1),
    ",": () => spikesBy("level", -1), ".": () => spikesBy("level", 1), " ": play, n: () => sample(1), N: () => sample(-1),
  };
  function pressed(event) {
    const tag = event.target.tagName, own = tag === "SELECT" || (tag === "INPUT" && (event.key.startsWith("Arrow") || event.key === " "));
    if (own || (tag === "BUTTON" && event.key === " ") || event.ctrlKey || event.altKey || event.metaKey) return;
    const number = Number(event.key), entry = number >= 1 && number <= 9 ? current.entries[number - 1] : null;
    const action = entry ? () => show(entry, !entry.object.visible) : keys[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  function connect() {
    document.addEventListener("keydown", pressed);
    window.addEventListener("resize", resize);
    controls.addEventListener("change", moved);
    const slider = (id, name) => at(id).addEventListener("input", () => { current.spikes[name] = Number(at(id).value); current.spikes.on = true; showSpikes(); });
    slider("spike-layer-at", "at");
    slider("spike-step", "step");
    slider("spike-level", "level");
    at("spikes-on").addEventListener("change", () => { current.spikes.on = at("spikes-on").checked; showSpikes(); });
    at("point-size").addEventListener("input", draw);
    select(Object.keys(manifest.scales), (chosen) => useScale(Object.keys(manifest.scales)[chosen]), at("scale"));
    select(manifest.scenes.map((s) => s.title), open, at("sample"));
    at("samples").hidden = manifest.scenes.length < 2;
    at("home").addEventListener("click", home);
    at("above").addEventListener("click", above);
    at("help").addEventListener("click", keys.h);
    at("fold").addEventListener("click", () => {
      const folded = at("panel").classList.toggle("folded");
      at("fold").setAttribute("aria-expanded", String(!folded));
      resize();
    });
    let down = null;
    at("view").addEventListener("pointerdown", (event) => { down = [event.clientX, event.clientY]; });
    at("view").addEventListener("pointerup", (event) => {
      if (down && Math.hypot(event.clientX - down[0], event.clientY - down[1]) < 4) pick(event.clientX, event.clientY);
      down = null;
    });
  }

  // What a test, or a curious person at the console, may look at.
  const viewer = (window.spikevox = {
    ready: false, opened: 0, orbit, pick, look,
    state: () => ({
      sample: current.index, scale, share, playing: playing !== null, camera: camera.position.toArray(),
      layers: current.entries.map((e) => ({ name: e.layer.name, visible: e.object.visible, field: e.layer.fields ? e.layer.fields[e.field].name : null })),
      spikes: current.spikes && { layer: current.spikes.shown.name, step: current.spikes.step, level: current.spikes.level, on: current.spikes.on,
        rates: Array.from(current.spikes.rates.subarray(0, 1000)) },
    }),
    place: (layer, i) => [0, 1, 2].map((k) => current.entries[layer].data[3 * i + k] + current.origin[k]),
    colour: (layer, i) => Array.from(current.entries[layer].color.subarray(4 * i, 4 * i + 4)),
    screen: (layer, i) => {
      const d = current.entries[layer].data, p = new THREE.Vector3(d[3 * i], d[3 * i + 1], d[3 * i + 2]).project(camera);
      return [((p.x + 1) * window.innerWidth) / 2, ((1 - p.y) * window.innerHeight) / 2];
    },
  });

  async function start() {
    buffer = await inflate(at("data").textContent);
    try {
      renderer = new THREE.WebGLRenderer({ canvas: at("view"), antialias: false, powerPreference: "high-performance" });
    } catch (error) {
      fail("This browser shows no WebGL, which the page draws with. Switch on hardware acceleration, or open it in another browser.");
      return;
    }
    renderer.outputColorSpace = THREE.LinearSRGBColorSpace;
    // Colours of the page and of the shaders are the screen's own, and are taken as they are written.
    renderer.setClearColor(screenColour(GROUND));
    scene = new THREE.Scene();
    camera = new THREE.PerspectiveCamera(45, 1, 0.01, 1000);
    camera.up.set(0, 0, 1);
    controls = new THREE.OrbitControls(camera, at("view"));
    controls.enableDamping = false;
    connect();
    resize();
    open(0);
    render();
    finish();
    viewer.opened = performance.now();
    viewer.ready = true;
  }
  start().catch((error) => { fail(`The page cannot be read: ${error.message}`); throw error; });
})();
