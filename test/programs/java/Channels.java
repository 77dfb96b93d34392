import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.FileReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.MappedByteBuffer;
import java.nio.channels.AsynchronousFileChannel;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Enumeration;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.zip.CRC32;
import java.util.zip.GZIPInputStream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;

/** Contents by streams, channels, mappings, archives, threads and another process. */
public final class Channels {
	static long crc(ByteBuffer bytes) {
		CRC32 crc = new CRC32();
		crc.update(bytes);
		return crc.getValue();
	}

	static void channel(Path weights) throws Exception {
		try (FileChannel in = FileChannel.open(weights, StandardOpenOption.READ)) {
			MappedByteBuffer map = in.map(FileChannel.MapMode.READ_ONLY, 0, in.size()).load();
			System.out.println("map " + crc(map));
			MappedByteBuffer own = in.map(FileChannel.MapMode.READ_ONLY, 1000001, 500000);
			System.out.println("part " + crc(own));
			try (FileChannel out = FileChannel.open(Path.of("sent"), StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
				System.out.println("sent " + in.transferTo(4097, 2000000, out) + " " + in.position());
				System.out.println("got " + out.transferFrom(in.position(12345), 2000000, 100000) + " " + in.position());
			}
			ByteBuffer[] parts = { ByteBuffer.allocate(10), ByteBuffer.allocateDirect(70000) };
			System.out.println("scattered " + in.position(77).read(parts) + " " + crc(parts[1].flip()));
			System.out.println("at " + in.read(ByteBuffer.allocate(100), in.size() - 30) + " " + in.position());
			System.out.println("lock " + in.tryLock(0, Long.MAX_VALUE, true).isShared());
		}
		try (AsynchronousFileChannel in = AsynchronousFileChannel.open(weights, StandardOpenOption.READ)) {
			ByteBuffer a = ByteBuffer.allocateDirect(1 << 20), b = ByteBuffer.allocate(1 << 20);
			Future<Integer> first = in.read(a, 0), second = in.read(b, 1 << 20);
			System.out.println("async " + first.get() + " " + second.get() + " " + crc(a.flip()) + " " + crc(b.flip()));
		}
	}

	static void file(Path root) throws IOException {
		try (RandomAccessFile f = new RandomAccessFile(root.resolve("arrays/square.npy").toFile(), "r")) {
			f.seek(128);
			System.out.println("raf " + f.readLong() + " " + f.getFilePointer() + " " + f.length() + " " + f.skipBytes(1000000));
			System.out.println(f.read() + " " + f.readInt());
		}
		try {
			new RandomAccessFile(root.resolve("none").toFile(), "r").close();
		} catch (IOException e) {
			System.out.println(e.getClass().getName());
		}
		try (BufferedReader r = new BufferedReader(new FileReader(root.resolve("text/lines.txt").toFile()))) {
			System.out.println(r.lines().mapToLong(String::hashCode).sum());
		}
		try (InputStream in = new FileInputStream(root.resolve("tokenizer.json").toFile())) {
			System.out.println(in.available() + " " + in.skip(1000) + " " + in.readNBytes(5).length + " " + in.available());
			System.out.println(crc(ByteBuffer.wrap(in.readAllBytes())));
		}
		try (ZipFile zip = new ZipFile(root.resolve("archives/files.zip").toFile())) {
			for (Enumeration<? extends ZipEntry> e = zip.entries(); e.hasMoreElements();) {
				ZipEntry one = e.nextElement();
				System.out.println(one + " " + crc(ByteBuffer.wrap(zip.getInputStream(one).readAllBytes())));
			}
		}
		try (InputStream in = new GZIPInputStream(new FileInputStream(root.resolve("archives/lines.gz").toFile()))) {
			System.out.println(crc(ByteBuffer.wrap(in.readAllBytes())));
		}
	}

	public static void main(String[] args) throws Exception {
		Path root = Path.of(args[0]), weights = root.resolve("gguf/model-q8_0.gguf");
		channel(weights);
		file(root);
		ExecutorService pool = Executors.newFixedThreadPool(8);
		Future<?>[] sums = new Future<?>[16];
		for (int i = 0; i < sums.length; i++) {
			long at = i * 130001L;
			sums[i] = pool.submit(() -> {
				try (FileChannel in = FileChannel.open(weights)) {
					ByteBuffer b = ByteBuffer.allocate(200000);
					in.read(b, at);
					return crc(b.flip());
				}
			});
		}
		for (Future<?> sum : sums)
			System.out.println("thread " + sum.get());
		pool.shutdown();
		ProcessBuilder p = new ProcessBuilder("md5sum").redirectInput(weights.toFile());
		p.redirectOutput(ProcessBuilder.Redirect.INHERIT).redirectError(ProcessBuilder.Redirect.INHERIT);
		System.out.flush();
		System.out.println(p.start().waitFor());
		p = new ProcessBuilder("cat", "deep.h").directory(root.resolve("src/sub").toFile()).inheritIO();
		System.out.println(p.start().waitFor());
	}
}
