;; Everything the core module imports. `host_call` and the function that writes to memory lead through a table to the adapter; the
;; rest of WASI is answered here: there are no files, no arguments, no environment, no clock and no randomness.
(module
  (type $host_call (func (param i32 i32 i32) (result i64)))
  (type $environ_sizes_get (func (param i32 i32) (result i32)))
  (type $realloc (func (param i32 i32 i32 i32) (result i32)))

  ;; The adapter fills it: 0 host_call, 1 environ_sizes_get, 2 realloc. A call before that traps.
  (table (export "behind") 3 3 funcref)

  (func (export "host_call") (type $host_call) (param $method i32) (param $request i32) (param $length i32) (result i64)
    (call_indirect (type $host_call) (local.get $method) (local.get $request) (local.get $length) (i32.const 0)))

  (func (export "environ_sizes_get") (type $environ_sizes_get) (param $count i32) (param $bytes i32) (result i32)
    (call_indirect (type $environ_sizes_get) (local.get $count) (local.get $bytes) (i32.const 1)))

  ;; Not for the core: the component's runtime places the host's answers with it.
  (func (export "realloc") (type $realloc) (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
    (call_indirect (type $realloc)
      (local.get $old) (local.get $old_size) (local.get $align) (local.get $size) (i32.const 2)))

  ;; Success: an environment without variables.
  (func (export "environ_get") (param i32 i32) (result i32) (i32.const 0))

  ;; 8: no such file is open, standard error neither.
  (func (export "fd_close") (param i32) (result i32) (i32.const 8))
  (func (export "fd_fdstat_get") (param i32 i32) (result i32) (i32.const 8))
  (func (export "fd_seek") (param i32 i64 i32 i32) (result i32) (i32.const 8))
  (func (export "fd_write") (param i32 i32 i32 i32) (result i32) (i32.const 8))

  ;; 52: not supported.
  (func (export "clock_time_get") (param i32 i64 i32) (result i32) (i32.const 52))
  (func (export "random_get") (param i32 i32) (result i32) (i32.const 52))

  (func (export "proc_exit") (param i32) (unreachable)))
