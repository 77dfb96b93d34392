/*
 * What stdio says of a file whose bytes cannot be had: each way of reading must end
 * with an error, neither with an end of file nor with bytes.  Prints one line each.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <wchar.h>

static void print(const char *how, long result, FILE *f)
{
	printf("%s %ld errno %d", how, result, errno);
	if (f != NULL)
		printf(" eof %d error %d", feof(f) != 0, ferror(f) != 0);
	printf("\n");
	errno = 0;
}

int main(int argc, char **argv)
{
	char *line = NULL, buf[100];
	size_t room = 0;
	wchar_t wide[10];
	FILE *f, *local;

	if (argc != 3)
		return 2;
	f = fopen(argv[1], "r");
	local = fopen(argv[2], "r");
	if (f == NULL || local == NULL)
		return 3;
	errno = 0;
	print("getc", getc(f), f);
	clearerr(f);
	print("fread", (long)fread(buf, 1, sizeof(buf), f), f);
	clearerr(f);
	print("getline", getline(&line, &room, f), f);
	clearerr(f);
	print("fscanf", fscanf(f, "%99s", buf), f);
	fclose(f);
	f = fopen(argv[1], "r");
	errno = 0;
	print("fgetwc", (int)fgetwc(f), f);
	clearerr(f);
	print("fgetws", fgetws(wide, 10, f) != NULL, f);
	clearerr(f);
	print("fwscanf", fwscanf(f, L"%9ls", wide), f);
	fclose(f);
	errno = 0;
	print("ccs", fopen(argv[1], "r,ccs=UTF-8") != NULL, NULL);
	print("freopen", freopen(argv[1], "r", local) != NULL, NULL);
	return 0;
}
