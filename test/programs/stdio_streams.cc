// Prints what C++'s streams see of a text file, and of the same file on standard input.
#include <clocale>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <locale>
#include <sstream>
#include <string>

static unsigned long sum(const std::string &s)
{
	unsigned long h = 5381;

	for (unsigned char c : s)
		h = h * 33 + c;
	return h;
}

static void files(const std::string &path, const std::string &copy)
{
	std::ifstream in(path);
	std::string line, all;
	std::wstring wide;

	std::getline(in, line);
	std::cout << line << " at " << in.tellg() << "\n";
	in.seekg(-20, std::ios::end);
	std::getline(in, line);
	std::cout << line << " eof " << in.eof() << "\n";
	in.clear();
	in.seekg(0);
	all.assign(std::istreambuf_iterator<char>(in), {});
	std::cout << all.size() << " " << sum(all) << "\n";
	in.close();
	in.open(path, std::ios::binary | std::ios::ate);
	std::cout << in.tellg() << "\n";
	all.resize(100000);
	in.seekg(11);
	in.read(all.data(), 100000);
	std::cout << in.gcount() << " " << sum(all) << "\n";
	std::stringstream through;
	in.clear();
	in.seekg(0);
	through << in.rdbuf();
	std::cout << sum(through.str()) << "\n";
	std::wifstream win(path);
	win.imbue(std::locale("C.UTF-8"));
	std::getline(win, wide);
	std::cout << wide.size() << " " << (long)wide[0] << "\n";
	std::cout << std::filesystem::copy_file(path, copy) << " " << std::filesystem::file_size(copy) << "\n";
	std::ifstream copied(copy);
	all.assign(std::istreambuf_iterator<char>(copied), {});
	std::cout << sum(all) << "\n";
	std::cout << std::ifstream(path + "-none").is_open() << "\n";
}

static void input(bool synced)
{
	std::string word, line;
	int nr = 0, letters = 0;

	if (!synced)
		std::ios::sync_with_stdio(false);
	std::cin >> word;
	std::getline(std::cin, line);
	std::cout << word << "|" << line << "\n";
	if (synced) {
		char buf[256];

		std::cout << std::fgets(buf, sizeof(buf), stdin);
	}
	while (std::cin >> word) {
		nr++;
		letters += (int)word.size();
	}
	std::cout << nr << " " << letters << " eof " << std::cin.eof() << "\n";
}

static void wide_input()
{
	std::wstring word;
	int nr = 0, letters = 0;

	while (std::wcin >> word) {
		nr++;
		letters += (int)word.size();
	}
	std::cout << nr << " " << letters << "\n";
}

int main(int argc, char **argv)
{
	std::setlocale(LC_ALL, "C.UTF-8");
	if (argc == 4 && std::strcmp(argv[1], "files") == 0)
		files(argv[2], argv[3]);
	else if (argc == 2 && std::strcmp(argv[1], "synced") == 0)
		input(true);
	else if (argc == 2 && std::strcmp(argv[1], "unsynced") == 0)
		input(false);
	else if (argc == 2 && std::strcmp(argv[1], "wide") == 0)
		wide_input();
	else
		return 2;
	return 0;
}
