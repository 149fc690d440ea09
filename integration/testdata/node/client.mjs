// Sends messages with a client that others wrote and prints one line of JSON for each
// answer: {"code": MSA-1, "control": MSA-2, "text": the whole answer}.
//
//   node client.mjs '{"library": "node-hl7-client" | "medplum", "host": …, "port": …,
//     "charset": "utf8" | "gb18030", "tls": {"ca": FILE, "cert": FILE, "key": FILE},
//     "both": true (wait for the application acknowledgement too), "messages": [text, …]}'
import fs from 'node:fs';
import tls from 'node:tls';
import iconv from 'iconv-lite';

const job = JSON.parse(process.argv[2]);
const print = (code, control, text) => console.log(JSON.stringify({ code, control, text }));
const files = job.tls && Object.fromEntries(Object.entries(job.tls).map(([k, v]) => [k, fs.readFileSync(v)]));

// The library knows the encodings of Node only. A message in another charset goes through
// it as Latin-1: each byte is a character.
const bytesOf = (text) => job.charset === 'gb18030' ? iconv.encode(text, 'gb18030').toString('latin1') : text;

async function withNodeClient() {
  const { Client, Message, Batch } = await import('node-hl7-client');
  const version = '2.5';
  const encoding = job.charset === 'gb18030' ? 'latin1' : 'utf-8';
  const client = new Client({ host: job.host, version, ...(files && { tls: { ...files, rejectUnauthorized: true, servername: 'localhost' } }) });
  let answered;
  const connection = client.createConnection({ port: job.port, waitAck: true, encoding }, (res) => {
    const m = res.getMessage();
    print(m.get('MSA.1').toString(), m.get('MSA.2').toString(), m.toString());
    answered();
  });
  for (const text of job.messages.map(bytesOf)) {
    const done = new Promise((resolve) => { answered = resolve; });
    const it = text.startsWith('BHS') ? new Batch({ text }) : new Message({ text, version });
    await connection.sendMessage(it);
    await done;
  }
  await connection.close();
}

async function withMedplum() {
  const { Hl7Client, Hl7Connection, ReturnAckCategory } = await import('@medplum/hl7');
  const { Hl7Message } = await import('@medplum/core');
  const encoding = job.charset === 'gb18030' ? 'gb18030' : undefined;
  let connection;
  if (files) { // the client itself speaks plain TCP only; its connection takes any socket
    const socket = tls.connect({ host: job.host, port: job.port, servername: 'localhost', ...files });
    await new Promise((resolve, reject) => { socket.once('secureConnect', resolve); socket.once('error', reject); });
    connection = new Hl7Connection(socket, encoding);
  } else {
    connection = new Hl7Client({ host: job.host, port: job.port, encoding, keepAlive: true });
  }
  const options = { timeoutMs: 20000, ...(job.both && { returnAck: ReturnAckCategory.APPLICATION }) };
  // All at once: the library pipelines them over one connection.
  const answers = await Promise.all(job.messages.map((text) => connection.sendAndWait(Hl7Message.parse(text), options)));
  for (const a of answers) {
    const msa = a.getSegment('MSA');
    print(msa.getField(1).toString(), msa.getField(2).toString(), a.toString());
  }
  await connection.close();
}

await (job.library === 'medplum' ? withMedplum() : withNodeClient());
process.exit(0);
