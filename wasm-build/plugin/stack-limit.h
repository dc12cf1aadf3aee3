/*
 * QuickJS checks its stack everywhere but on WASI, where endless recursion then ends in a trap. Its check works there too: the
 * C library's headers are read while they may know that this is WASI, then QuickJS is not told.
 */
#include <assert.h>
#include <fenv.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#undef __wasi__
