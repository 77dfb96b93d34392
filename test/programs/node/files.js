// node's synchronous and streaming calls.
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const path = require('path');
const zlib = require('zlib');

const D = process.argv[2];
const md5 = b => crypto.createHash('md5').update(b).digest('hex');
const say = (...a) => fs.writeSync(1, a.map(x => typeof x === 'string' ? x : JSON.stringify(x)).join(' ') + '\n');
const attempt = f => { try { return f(); } catch (e) { return `${e.code} ${e.syscall}`; } };

function walk(dir) {
	for (const e of fs.readdirSync(dir, { withFileTypes: true }).sort((a, b) => a.name < b.name ? -1 : 1)) {
		const p = path.join(dir, e.name);
		const s = fs.lstatSync(p);
		if (e.isDirectory()) {
			say(path.relative(D, p), s.isDirectory());
			walk(p);
		} else {
			say(path.relative(D, p), s.size, s.mode.toString(8), s.mtimeMs, s.nlink, e.isFile(), md5(fs.readFileSync(p)));
		}
	}
}
walk(D);
say(fs.readdirSync(D, { recursive: true }).length, fs.readdirSync(path.join(D, 'odd names'), 'buffer').length);

const big = path.join(D, 'gguf/model-q8_0.gguf');
const fd = fs.openSync(big, 'r');
const buf = Buffer.alloc(100000);
say(fs.readSync(fd, buf, 0, 100000, 1048570), md5(buf), fs.readSync(fd, buf, 10, 500, null), md5(buf), fs.fstatSync(fd).size);
say(fs.readvSync(fd, [Buffer.alloc(7), buf], 3000000), md5(buf));
fs.closeSync(fd);
say(fs.readFileSync(path.join(D, 'text/utf8.txt'), 'utf8').length, fs.existsSync(path.join(D, 'none')));
say(attempt(() => fs.openSync(path.join(D, 'none'))), attempt(() => fs.readFileSync(path.join(D, 'text'))), attempt(() => fs.readdirSync(path.join(D, 'empty'))),
    attempt(() => fs.accessSync(path.join(D, 'config.json'), fs.constants.R_OK)) === undefined, attempt(() => fs.readlinkSync(path.join(D, 'empty'))));
say(path.relative(D, fs.realpathSync(path.join(D, 'src/../empty'))), path.relative(D, fs.realpathSync.native(path.join(D, 'src/sub/../plus.c'))));
fs.copyFileSync(big, 'copied');
fs.cpSync(path.join(D, 'src'), 'tree', { recursive: true, preserveTimestamps: true });
const dir = fs.opendirSync(path.join(D, 'many/1'));
let n = 0;
while (dir.readSync() !== null)
	n++;
dir.closeSync();
say(n, typeof fs.statfsSync === 'function' && fs.statfsSync(D).type === fs.statfsSync(big).type);

let lines = 0, sum = crypto.createHash('md5'), part = crypto.createHash('md5');
fs.createReadStream(path.join(D, 'text/lines.txt'), 'latin1').on('data', s => { lines += s.split('\n').length - 1; }).on('end', () => {
	say(lines);
	fs.createReadStream(big, { start: 1000, end: 2000000, highWaterMark: 77777 }).on('data', b => part.update(b)).on('end', () => {
		say(part.digest('hex'));
		fs.createReadStream(path.join(D, 'archives/lines.gz')).pipe(zlib.createGunzip()).on('data', b => sum.update(b)).on('end', () => {
			say(sum.digest('hex'));
			fs.createReadStream(big).pipe(fs.createWriteStream('piped')).on('finish', () => say('piped'));
		});
	});
});
