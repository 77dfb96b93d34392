// node's promises, its workers and the processes it starts.
'use strict';
const { execFileSync, spawn } = require('child_process');
const crypto = require('crypto');
const fs = require('fs');
const fsp = require('fs/promises');
const path = require('path');
const readline = require('readline');
const { Worker, isMainThread, workerData, parentPort } = require('worker_threads');

const md5 = b => crypto.createHash('md5').update(b).digest('hex');

if (!isMainThread) {
	parentPort.postMessage(md5(fs.readFileSync(workerData)));
	return;
}

const D = process.argv[2];
const say = (...a) => fs.writeSync(1, a.map(x => typeof x === 'string' ? x : JSON.stringify(x)).join(' ') + '\n');
const ended = child => new Promise(done => child.on('exit', code => done(code)));

async function main() {
	const big = path.join(D, 'gguf/model-q8_0.gguf');
	const names = (await fsp.readdir(D, { recursive: true })).sort();
	say(names);
	const sums = await Promise.all(names.map(async n => (await fsp.stat(path.join(D, n))).isFile() ? md5(await fsp.readFile(path.join(D, n))) : 'directory'));
	say(sums);
	const handle = await fsp.open(big);
	const got = await handle.read(Buffer.alloc(5000), 0, 5000, 123456);
	say(got.bytesRead, md5(got.buffer), (await handle.stat()).size);
	await handle.close();
	let n = 0;
	for await (const entry of await fsp.opendir(path.join(D, 'odd names')))
		n += entry.name.length;
	say(n);
	let last;
	for await (const line of readline.createInterface({ input: fs.createReadStream(path.join(D, 'text/lines.txt')) }))
		last = line;
	say(last);
	await fsp.cp(path.join(D, 'odd names'), 'odd', { recursive: true });
	await fsp.copyFile(big, 'copied');
	say(await fsp.access(path.join(D, 'none')).catch(e => e.code), await fsp.readFile(D).catch(e => e.code));

	const workers = ['tokenizer.json', 'gguf/model-q8_0.gguf', 'arrays/square.npy'].map(f => new Worker(__filename, { workerData: path.join(D, f) }));
	say(await Promise.all(workers.map(w => new Promise((ok, bad) => w.on('message', ok).on('error', bad)))));

	const fd = fs.openSync(path.join(D, 'text/lines.txt'));
	fs.readSync(fd, Buffer.alloc(100000), 0, 100000, null);
	say(await ended(spawn('wc', ['-c'], { stdio: [fd, 'inherit', 'inherit'] })));
	say(fs.readSync(fd, Buffer.alloc(10), 0, 10, null));
	say(await ended(spawn('md5sum', { stdio: [fs.openSync(big), 'inherit', 'inherit'] })));
	say(await ended(spawn('sh', ['-c', 'head -n 1 <&3; cat deep.h'], { cwd: path.join(D, 'src/sub'), stdio: [0, 1, 2, fs.openSync(path.join(D, 'text/left.txt'))] })));
	say(execFileSync('head', ['-n', '1', path.join(D, 'text/words.txt')]).toString());
	fs.createReadStream(path.join(D, 'src/plus.h')).pipe(process.stdout);
}

main().catch(e => { say(String(e.stack)); process.exitCode = 1; });
