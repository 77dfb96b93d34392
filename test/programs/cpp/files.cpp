// What the C++17 library does with files: iteration, streams, copies.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

namespace fs = std::filesystem;

static uint64_t sum(const std::string &bytes)
{
	uint64_t h = 14695981039346656037u;
	for (unsigned char c : bytes)
		h = (h ^ c) * 1099511628211u;
	return h;
}

static std::string slurp(const fs::path &path)
{
	std::ifstream in(path, std::ios::binary);
	return std::string(std::istreambuf_iterator<char>(in), {});
}

static void list(const fs::path &root)
{
	std::vector<fs::path> found;
	for (const auto &entry : fs::recursive_directory_iterator(root))
		found.push_back(entry.path());
	std::sort(found.begin(), found.end());
	for (const auto &path : found) {
		std::cout << path.lexically_relative(root) << ' ' << fs::is_directory(path);
		if (fs::is_regular_file(path))
			std::cout << ' ' << fs::file_size(path) << ' ' << std::oct
				  << static_cast<unsigned>(fs::status(path).permissions()) << std::dec << ' '
				  << fs::last_write_time(path).time_since_epoch().count() << ' ' << fs::hard_link_count(path)
				  << ' ' << fs::is_empty(path) << ' ' << sum(slurp(path));
		std::cout << '\n';
	}
}

static void streams(const fs::path &root)
{
	std::ifstream weights(root / "gguf" / "model-q8_0.gguf", std::ios::binary);
	std::string piece(70001, 0);
	for (long at : { 0L, 4095L, 1048500L, 3000000L }) {
		weights.seekg(at);
		weights.read(piece.data(), static_cast<std::streamsize>(piece.size()));
		std::cout << at << ' ' << weights.gcount() << ' ' << weights.tellg() << ' ' << sum(piece) << '\n';
	}
	weights.seekg(0, std::ios::end);
	std::cout << weights.tellg() << ' ' << weights.peek() << ' ' << weights.eof() << '\n';

	std::ifstream lines(root / "text" / "lines.txt");
	std::string word, line;
	size_t words = 0, longest = 0;
	while (lines >> word)
		words++;
	lines.clear();
	lines.seekg(0);
	while (std::getline(lines, line))
		longest = std::max(longest, line.size());
	std::cout << words << ' ' << longest << '\n';

	std::ifstream again(root / "text" / "utf8.txt");
	again.ignore(3);
	again.putback('r');
	again.unget();
	std::stringstream all;
	all << again.rdbuf();
	std::cout << sum(all.str()) << ' ' << all.str().size() << '\n';

	std::wifstream wide(root / "text" / "utf8.txt");
	wide.imbue(std::locale("C.UTF-8"));
	std::wstring letters;
	std::getline(wide, letters);
	std::cout << letters.size() << '\n';

	std::ifstream none(root / "none");
	std::cout << none.is_open() << '\n';
}

int main(int argc, char **argv)
{
	const fs::path root = argv[argc - 1];
	list(root);
	streams(root);
	std::cout << fs::copy_file(root / "gguf" / "model-q8_0.gguf", "copied") << '\n';
	fs::copy(root / "src", "tree", fs::copy_options::recursive);
	std::cout << fs::canonical(root / "src" / ".." / "empty").lexically_relative(root) << ' '
		  << fs::equivalent(root / "src" / "plus.c", root / "src" / "sub" / ".." / "plus.c") << ' '
		  << fs::exists(root / "none") << fs::exists(root / "text") << '\n';
	std::error_code error;
	std::cout << (fs::file_size(root / "none", error) == static_cast<uintmax_t>(-1)) << ' ';
	std::cout << error.message() << '\n';
	fs::current_path(root / "src" / "sub");
	std::cout << slurp("../plus.h") << fs::current_path().lexically_relative(root) << '\n';
	return 0;
}
