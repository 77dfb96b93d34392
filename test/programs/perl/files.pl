# What perl's own calls and its core modules do with files.
use strict;
use warnings;
use Digest::MD5 qw(md5_hex);
use Fcntl qw(:mode SEEK_SET SEEK_END O_RDONLY);
use File::Basename;
use File::Compare;
use File::Copy;
use File::Find;
use File::Spec;
use IO::File;
use Cwd qw(getcwd abs_path);

$| = 1;
my $d = shift;
my %seen;
find({ no_chdir => 0, wanted => sub {
	my @s = lstat($_);
	my $name = File::Spec->abs2rel($File::Find::name, $d);
	$seen{$name} = -d _ ? 'directory' : join(' ', $s[7], sprintf('%o', $s[2]), $s[9], $s[3], -r _ ? 'r' : '', -z _ ? 'z' : '',
		-T $_ ? 'text' : 'binary');
} }, $d);
print "$_ $seen{$_}\n" for sort keys %seen;

opendir(my $dir, "$d/odd names") or die $!;
my $first = telldir($dir);
my @names = readdir($dir);
rewinddir($dir);
print join('|', sort @names), ' ', scalar(@names) == scalar(() = readdir($dir)) ? 'same' : 'other', "\n";
closedir($dir);
print join(' ', map { basename($_) } sort(glob("$d/src/*.{c,h}"), <$d/text/l*>)), "\n";

open(my $f, '<:raw', "$d/gguf/model-q8_0.gguf") or die $!;
my $size = -s $f;
read($f, my $head, 100);
print md5_hex($head), " $size ", tell($f), "\n";
seek($f, -1000, SEEK_END);
my ($tail, $piece, $few, $none);
print read($f, $tail, 2000), ' ', md5_hex($tail), ' ', eof($f) ? 1 : 0, "\n";
sysopen(my $raw, "$d/gguf/model-q8_0.gguf", O_RDONLY) or die $!;
sysseek($raw, 1048570, SEEK_SET);
print sysread($raw, $piece, 100000), ' ', md5_hex($piece), ' ', sysseek($raw, 0, 1), "\n";
print sysread($raw, $piece, 10, 100005), ' ', length($piece), "\n";
close($f);

open($f, '<:encoding(UTF-8)', "$d/text/utf8.txt") or die $!;
my $line = <$f>;
print length($line), ' ', $., "\n";
my @rest = <$f>;
print scalar(@rest), "\n";
for my $layer (':mmap', ':perlio', ':unix', ':stdio', ':crlf') {
	open(my $in, "<$layer", "$d/text/lines.txt") or die "$layer $!";
	my ($count, $bytes) = (0, 0);
	while (my $l = <$in>) {
		$count++;
		$bytes += length $l;
		last if $layer eq ':unix' && $count > 50;
	}
	seek($in, 1000, SEEK_SET);
	print "$layer $count $bytes ", scalar(<$in>);
}
{
	local $/ = \4096;
	open(my $in, '<:raw', "$d/tokenizer.json") or die $!;
	my $n = () = <$in>;
	print "$n records\n";
}
{
	local @ARGV = ("$d/src/plus.h", "$d/src/plus.c");
	while (<>) {
		print "$ARGV:$.:$_" =~ s/^\Q$d\E/DIR/r;
	}
}
open(my $pipe, '-|', 'sort', "$d/text/words.txt") or die $!;
my @sorted = <$pipe>;
print scalar(@sorted), " $sorted[0]";
open(STDIN, '<', "$d/text/left.txt") or die $!;
print scalar(<STDIN>);
system('wc', '-l');
open(my $dup, '<&', \*STDIN) or die $!;
seek(STDIN, 0, SEEK_SET);
print sysread($dup, $few, 5), " $few\n";
if (my $pid = fork) {
	waitpid($pid, 0);
	print sysseek($dup, 0, 1), "\n";
} else {
	sysread($dup, my $more, 7);
	exec('true');
}
copy("$d/arrays/raw.f32", 'copied') or die $!;
print compare("$d/arrays/raw.f32", 'copied'), "\n";
print((open($none, '<', "$d/none") ? 'open' : "$!"), ' ', (opendir($none, "$d/config.json") ? 'open' : "$!"), ' ',
	(-e "$d/none" ? 1 : 0), (-f "$d/empty" ? 1 : 0), (-l "$d/empty" ? 1 : 0), "\n");
chdir("$d/src/sub") or die $!;
print File::Spec->abs2rel(getcwd(), $d), ' ', File::Spec->abs2rel(abs_path('../../empty'), $d), ' ', -s 'deep.h', "\n";
my $io = IO::File->new('../plus.c', 'r');
print $io->getline, (stat($io))[7], "\n";
