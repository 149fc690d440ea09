// Measures node-hl7-client on the messages of a JSON file: node hl7_node.js FILE MILLISECONDS.
// Prints the bytes per second of parsing and writing back, and of the same with a visit to
// every part of every message in between.
'use strict';
const { readFileSync } = require('node:fs');
const { Message } = require('node-hl7-client');

const texts = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const span = Number(process.argv[3]);
const bytes = texts.map((text) => Buffer.byteLength(text));

// visit reads a node of the tree and all below it: segments, fields, repetitions or
// components, subcomponents.
function visit(node, depth) {
  let n = 0;
  if (depth === 4 || node.length === undefined) return node.toString().length;
  node.forEach((child) => { n += child ? visit(child, depth + 1) : 0; });
  return n;
}

const modes = [
  (text) => new Message({ text }).toString().length,
  (text) => { const m = new Message({ text }); return visit(m, 0) + m.toString().length; },
];

const speeds = modes.map((mode) => {
  for (let i = 0; i < Math.min(20, texts.length); i++) mode(texts[i]);
  const end = performance.now() + span;
  const start = performance.now();
  let done = 0, used = 0;
  for (let i = 0; performance.now() < end; i = (i + 1) % texts.length) {
    used += mode(texts[i]);
    done += bytes[i];
  }
  if (used === 0) throw new Error('nothing was read');
  return done / ((performance.now() - start) / 1000);
});
console.log(JSON.stringify(speeds));
