import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import java.util.zip.CRC32;

/** Names, attributes and whole files by java.nio.file. */
public final class Walk {
	static long crc(byte[] bytes) {
		CRC32 crc = new CRC32();
		crc.update(bytes);
		return crc.getValue();
	}

	public static void main(String[] args) throws IOException {
		Path root = Path.of(args[0]);
		List<Path> found;
		try (Stream<Path> all = Files.walk(root)) {
			found = all.sorted().collect(Collectors.toList());
		}
		for (Path path : found) {
			BasicFileAttributes a = Files.readAttributes(path, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
			String more = a.isDirectory() ? "directory"
				: a.size() + " " + a.lastModifiedTime() + " "
					+ PosixFilePermissions.toString(Files.getPosixFilePermissions(path)) + " "
					+ Files.isReadable(path) + Files.isExecutable(path) + Files.isHidden(path)
					+ Files.isSymbolicLink(path) + " " + crc(Files.readAllBytes(path));
			System.out.println(root.relativize(path) + " " + more);
		}
		try (Stream<Path> here = Files.list(root.resolve("many/1"))) {
			System.out.println(here.count());
		}
		try (Stream<Path> big = Files.find(root, 9, (p, a) -> a.isRegularFile() && a.size() > 1 << 20)) {
			System.out.println(big.map(p -> p.getFileName().toString()).sorted().collect(Collectors.toList()));
		}
		try (Stream<String> lines = Files.lines(root.resolve("text/lines.txt"))) {
			System.out.println(lines.mapToInt(String::length).sum());
		}
		System.out.println(Files.readString(root.resolve("text/utf8.txt")).hashCode());
		System.out.println(Files.size(Files.copy(root.resolve("tokenizer.json"), Path.of("copied"))));
		System.out.println(Files.mismatch(Path.of("copied"), root.resolve("tokenizer.json")));
		System.out.println(root.relativize(root.resolve("src/../empty").toRealPath()));
		System.out.println(Files.isSameFile(root.resolve("src/plus.c"), root.resolve("src/sub/../plus.c")));
		System.out.println(Files.probeContentType(root.resolve("web/index.html")));
		System.out.println(Files.exists(root.resolve("none")) + " " + new java.io.File(args[0], "src").list().length
			+ " " + new java.io.File(args[0], "config.json").length());
		try {
			Files.readAllBytes(root.resolve("none"));
		} catch (IOException e) {
			System.out.println(e.getClass().getName());
		}
	}
}
