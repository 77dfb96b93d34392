//! What Rust's standard library does with files: prints a checksum for everything it reads.
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(14695981039346656037, |h, b| (h ^ *b as u64).wrapping_mul(1099511628211))
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        assert_eq!(kind.is_dir(), entry.metadata()?.is_dir());
        if kind.is_dir() {
            walk(&entry.path(), found)?;
        }
        found.push(entry.path());
    }
    Ok(())
}

fn main() -> io::Result<()> {
    let root = PathBuf::from(std::env::args().nth(1).expect("a directory"));
    let mut found = Vec::new();
    walk(&root, &mut found)?;
    found.sort();
    for path in &found {
        let m = fs::symlink_metadata(path)?;
        let name = path.strip_prefix(&root).unwrap();
        if m.is_file() {
            println!("{:?} {} {:o} {} {:x}", name, m.len(), m.mode(), m.mtime(), sum(&fs::read(path)?));
        } else {
            println!("{:?} {}", name, m.is_dir());
        }
    }

    let weights = root.join("gguf/model-q8_0.gguf");
    let mut file = File::open(&weights)?;
    let mut piece = vec![0u8; 70_001];
    for at in [0u64, 1, 4095, 1_048_500, 3_000_000, 3_145_000] {
        println!("read_at {} {} {:x}", at, file.read_at(&mut piece, at)?, sum(&piece));
    }
    println!("end {}", file.seek(SeekFrom::End(-10))?);
    let mut rest = Vec::new();
    println!("rest {} {:x}", file.read_to_end(&mut rest)?, sum(&rest));
    println!("start {}", file.stream_position()?);
    let mut again = file.try_clone()?;
    file.rewind()?;
    println!("clone {}", again.read(&mut piece[..100])?);
    println!("shared {}", file.stream_position()?);

    println!("copied {}", fs::copy(&weights, "copied")?);
    println!("copied {}", io::copy(&mut File::open(&weights)?, &mut File::create("streamed")?)?);
    println!("{:o}", fs::metadata("copied")?.mode());
    println!("{:?}", fs::canonicalize(root.join("src/../empty"))?.strip_prefix(&root).unwrap());
    println!("{:?}", fs::read_to_string(root.join("none")).map_err(|e| e.kind()));
    println!("{:?}", fs::read(root.join("text")).map_err(|e| e.kind()));

    let lines = BufReader::new(File::open(root.join("text/lines.txt"))?).lines();
    println!("longest {:?}", lines.map(|l| l.unwrap().len()).max());

    let mut input = File::open(root.join("text/words.txt"))?;
    input.seek(SeekFrom::Start(1000))?;
    let out = Command::new("wc").arg("-c").stdin(Stdio::from(input)).output()?;
    print!("wc {}", String::from_utf8_lossy(&out.stdout));
    let out = Command::new("cat").arg("deep.h").current_dir(root.join("src/sub")).output()?;
    print!("{}", String::from_utf8_lossy(&out.stdout));

    let threads: Vec<_> = (0..8u64)
        .map(|i| {
            let path = root.join(format!("model-0000{}-of-00002.safetensors", i % 2 + 1));
            thread::spawn(move || {
                let file = File::open(path).unwrap();
                let mut buf = vec![0u8; 300_000];
                (0..16).map(|j| { file.read_exact_at(&mut buf, (i + j) * 150_000).unwrap(); sum(&buf) })
                    .fold(0u64, |a, b| a.rotate_left(5) ^ b)
            })
        })
        .collect();
    for t in threads {
        println!("thread {:x}", t.join().unwrap());
    }
    Ok(())
}
