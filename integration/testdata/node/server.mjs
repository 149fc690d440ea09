// A server that others wrote. It answers each message with AA, or with AE where the control
// id begins with "AE", and prints one line of JSON for each message: {"control", "name"}.
// The first line is {"port"}. It ends when its standard input closes.
//
//   node server.mjs '{"tls": {"cert": FILE, "key": FILE}, "charset": "gb18030"}'
import fs from 'node:fs';
import net from 'node:net';
import iconv from 'iconv-lite';
import { Server } from 'node-hl7-server';

const job = JSON.parse(process.argv[2]);
const files = job.tls && Object.fromEntries(Object.entries(job.tls).map(([k, v]) => [k, fs.readFileSync(v)]));
// The library knows the encodings of Node only: other charsets go through it as Latin-1.
const latin = job.charset === 'gb18030';
const textOf = (s) => latin ? iconv.decode(Buffer.from(s, 'latin1'), 'gb18030') : s;
const free = () => new Promise((resolve) => {
  const s = net.createServer().listen(0, '127.0.0.1', () => { const { port } = s.address(); s.close(() => resolve(port)); });
});

const port = await free();
const server = new Server({ bindAddress: '127.0.0.1', ...(files && { tls: files }) });
const inbound = server.createInbound({ port, encoding: latin ? 'latin1' : 'utf-8', overrideMSH: true }, async (req, res) => {
  const m = req.getMessage();
  const control = m.get('MSH.10').toString();
  console.log(JSON.stringify({ control, name: textOf(`${m.get('PID.5.1')}^${m.get('PID.5.2')}`) }));
  await res.sendResponse(control.startsWith('AE') ? 'AE' : 'AA');
});
inbound.on('listen', () => console.log(JSON.stringify({ port })));
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
