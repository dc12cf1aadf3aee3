;; Between the canonical ABI of the component model and the boundary of abi/ABI.md. All that crosses lies in the core's memory.
;;
;; The boundary's result is one block: a status byte (0, then a response; 1, then an encoded Failure). The component's is
;; result<list<u8>, failure>, which the canonical ABI keeps in 20 bytes, here $area:
;;
;;   0   u8      0: response, 1: failure
;;   4   i32     response: its pointer       u8      failure: its code
;;   8   i32               its length        i32              pointer of its message
;;   12                                      i32              length of its message
;;   16                                      u8               retryable
(module
  (type $host_call (func (param i32 i32 i32) (result i64)))
  (import "core" "memory" (memory 0))
  (import "core" "chatsdk_alloc" (func $alloc (param i32) (result i32)))
  (import "core" "chatsdk_free" (func $free (param i32 i32)))
  (import "core" "chatsdk_call" (func $core_call (param i32 i32 i32) (result i64)))
  (import "doors" "behind" (table 3 funcref))
  (import "host" "host-call" (func $host (param i32 i32 i32 i32)))

  ;; One for both directions: the host's answer has been read from it before the core's result is written to it.
  (global $area (mut i32) (i32.const 0))
  ;; The core's last result, until the host has read it.
  (global $result (mut i32) (i32.const 0))
  (global $result_length (mut i32) (i32.const 0))
  ;; Where the decoder of a Failure reads next, and where the Failure ends.
  (global $at (mut i32) (i32.const 0))
  (global $end (mut i32) (i32.const 0))

  (elem (i32.const 0) $answer $no_strings $realloc)
  (start $reserve_area)

  ;; chatsdk_alloc promises no alignment; the area needs 4.
  (func $reserve_area
    (global.set $area (i32.and (i32.add (call $must_alloc (i32.const 23)) (i32.const 3)) (i32.const -4))))

  ;; --- The component's export

  (func (export "call") (param $method i32) (param $request i32) (param $length i32) (result i32)
    (local $packed i64) (local $status i32)
    (local.set $packed (call $core_call (local.get $method) (local.get $request) (local.get $length)))
    (call $give_back (local.get $request) (local.get $length))
    (global.set $result (i32.wrap_i64 (i64.shr_u (local.get $packed) (i64.const 32))))
    (global.set $result_length (i32.wrap_i64 (local.get $packed)))
    ;; A defect, as is an unknown status. 64 MiB is the contract's limit.
    (if (i32.eqz (global.get $result_length)) (then (unreachable)))
    (if (i32.gt_u (global.get $result_length) (i32.const 67108864)) (then (unreachable)))
    ;; Not every runtime looks.
    (if (i64.gt_u
          (i64.add (i64.extend_i32_u (global.get $result)) (i64.extend_i32_u (global.get $result_length)))
          (i64.shl (i64.extend_i32_u (memory.size)) (i64.const 16)))
      (then (unreachable)))
    (local.set $status (i32.load8_u (global.get $result)))
    (if (i32.gt_u (local.get $status) (i32.const 1)) (then (unreachable)))
    (i32.store8 (global.get $area) (local.get $status))
    (if (local.get $status)
      (then (call $decode_failure))
      (else
        (i32.store offset=4 (global.get $area) (i32.add (global.get $result) (i32.const 1)))
        (i32.store offset=8 (global.get $area) (i32.sub (global.get $result_length) (i32.const 1)))))
    (global.get $area))

  ;; The host has copied the result.
  (func (export "after-call") (param $area i32)
    (call $free (global.get $result) (global.get $result_length)))

  ;; From the message in $result to the area. The message's text stays where it is.
  (func $decode_failure
    (local $tag i32) (local $value i32)
    (global.set $at (i32.add (global.get $result) (i32.const 1)))
    (global.set $end (i32.add (global.get $result) (global.get $result_length)))
    ;; What an encoding leaves out has its default.
    (i32.store8 offset=4 (global.get $area) (i32.const 0))
    (i32.store offset=8 (global.get $area) (global.get $at))
    (i32.store offset=12 (global.get $area) (i32.const 0))
    (i32.store8 offset=16 (global.get $area) (i32.const 0))
    (loop $fields
      (if (i32.eq (global.get $at) (global.get $end)) (then (return)))
      (local.set $tag (call $varint))
      (local.set $value (call $varint))
      (if (i32.eq (local.get $tag) (i32.const 0x08)) ;; code
        (then
          ;; The host's runtime refuses a code that the world does not have, if it is told all of it.
          (if (i32.gt_u (local.get $value) (i32.const 255)) (then (unreachable)))
          (i32.store8 offset=4 (global.get $area) (local.get $value))
          (br $fields)))
      (if (i32.eq (local.get $tag) (i32.const 0x12)) ;; message
        (then
          (if (i32.gt_u (local.get $value) (i32.sub (global.get $end) (global.get $at))) (then (unreachable)))
          (i32.store offset=8 (global.get $area) (global.get $at))
          (i32.store offset=12 (global.get $area) (local.get $value))
          (global.set $at (i32.add (global.get $at) (local.get $value)))
          (br $fields)))
      (if (i32.eq (local.get $tag) (i32.const 0x18)) ;; retryable
        (then
          (i32.store8 offset=16 (global.get $area) (i32.ne (local.get $value) (i32.const 0)))
          (br $fields)))
      ;; The contract has no other field.
      (unreachable)))

  ;; An unsigned LEB128 of at most 5 bytes at $at, which moves on.
  (func $varint (result i32)
    (local $value i32) (local $shift i32) (local $byte i32)
    (loop $bytes
      (if (i32.eq (global.get $at) (global.get $end)) (then (unreachable)))
      (if (i32.eq (local.get $shift) (i32.const 35)) (then (unreachable)))
      (local.set $byte (i32.load8_u (global.get $at)))
      (global.set $at (i32.add (global.get $at) (i32.const 1)))
      (local.set $value (i32.or (local.get $value)
        (i32.shl (i32.and (local.get $byte) (i32.const 0x7f)) (local.get $shift))))
      (local.set $shift (i32.add (local.get $shift) (i32.const 7)))
      (br_if $bytes (i32.ge_u (local.get $byte) (i32.const 0x80))))
    (local.get $value))

  ;; --- The core's import `host_call`

  (func $answer (type $host_call) (param $method i32) (param $request i32) (param $length i32) (result i64)
    (local $block i32) (local $response_length i32)
    (call $host (local.get $method) (local.get $request) (local.get $length) (global.get $area))
    (if (i32.load8_u (global.get $area)) (then (return (call $encode_failure))))
    (local.set $response_length (i32.load offset=8 (global.get $area)))
    (if (local.get $response_length)
      ;; The byte that $realloc left before the response.
      (then (local.set $block (i32.sub (i32.load offset=4 (global.get $area)) (i32.const 1))))
      (else (local.set $block (call $must_alloc (i32.const 1)))))
    (i32.store8 (local.get $block) (i32.const 0))
    (call $pack (local.get $block) (i32.add (local.get $response_length) (i32.const 1))))

  ;; From the area to a block: status, code, message, retryable. The code fits one byte, since there are fewer than 128.
  (func $encode_failure (result i64)
    (local $text i32) (local $length i32) (local $prefix i32) (local $size i32) (local $block i32) (local $to i32)
    (local.set $text (i32.load offset=8 (global.get $area)))
    (local.set $length (i32.load offset=12 (global.get $area)))
    (local.set $prefix (call $varint_size (local.get $length)))
    (local.set $size (i32.add (i32.add (i32.const 6) (local.get $prefix)) (local.get $length)))
    (local.set $block (call $must_alloc (local.get $size)))
    (i32.store8 (local.get $block) (i32.const 1))
    (i32.store8 offset=1 (local.get $block) (i32.const 0x08))
    (i32.store8 offset=2 (local.get $block) (i32.load8_u offset=4 (global.get $area)))
    (i32.store8 offset=3 (local.get $block) (i32.const 0x12))
    (call $write_varint (i32.add (local.get $block) (i32.const 4)) (local.get $length))
    (local.set $to (i32.add (i32.add (local.get $block) (i32.const 4)) (local.get $prefix)))
    (memory.copy (local.get $to) (local.get $text) (local.get $length))
    (local.set $to (i32.add (local.get $to) (local.get $length)))
    (i32.store8 (local.get $to) (i32.const 0x18))
    (i32.store8 offset=1 (local.get $to) (i32.load8_u offset=16 (global.get $area)))
    (call $give_back (local.get $text) (local.get $length))
    (call $pack (local.get $block) (local.get $size)))

  (func $varint_size (param $value i32) (result i32)
    (local $size i32)
    (loop $bytes
      (local.set $size (i32.add (local.get $size) (i32.const 1)))
      (br_if $bytes (local.tee $value (i32.shr_u (local.get $value) (i32.const 7)))))
    (local.get $size))

  (func $write_varint (param $to i32) (param $value i32)
    (loop $bytes
      (i32.store8 (local.get $to) (i32.or (i32.and (local.get $value) (i32.const 0x7f))
        (i32.shl (i32.ge_u (local.get $value) (i32.const 0x80)) (i32.const 7))))
      (local.set $to (i32.add (local.get $to) (i32.const 1)))
      (br_if $bytes (local.tee $value (i32.shr_u (local.get $value) (i32.const 7))))))

  (func $pack (param $pointer i32) (param $length i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get $pointer)) (i64.const 32)) (i64.extend_i32_u (local.get $length))))

  ;; --- Memory

  ;; cabi_realloc: the runtime places what the host gives with it. It leaves one byte free before the bytes, for a status: so an
  ;; answer of the host is a result without being copied. Nothing is allocated for no bytes: not every runtime asks then.
  (func $realloc (export "realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
    (local $new i32)
    ;; The world has but bytes and text.
    (if (i32.ne (local.get $align) (i32.const 1)) (then (unreachable)))
    (if (local.get $size)
      (then
        (local.set $new (i32.add (call $must_alloc (i32.add (local.get $size) (i32.const 1))) (i32.const 1)))
        (memory.copy (local.get $new) (local.get $old)
          (select (local.get $old_size) (local.get $size) (i32.lt_u (local.get $old_size) (local.get $size)))))
      (else (local.set $new (i32.const 1))))
    (call $give_back (local.get $old) (local.get $old_size))
    (local.get $new))

  ;; What $realloc has placed. Wiped: a request may hold keys.
  (func $give_back (param $pointer i32) (param $length i32)
    (if (i32.eqz (local.get $length)) (then (return)))
    (memory.fill (local.get $pointer) (i32.const 0) (local.get $length))
    (call $free (i32.sub (local.get $pointer) (i32.const 1)) (i32.add (local.get $length) (i32.const 1))))

  (func $must_alloc (param $size i32) (result i32)
    (local $pointer i32)
    (local.set $pointer (call $alloc (local.get $size)))
    (if (i32.eqz (local.get $pointer)) (then (unreachable)))
    (local.get $pointer))

  ;; --- WASI

  ;; Neither arguments nor variables: none, of no bytes.
  (func $no_strings (param $count i32) (param $bytes i32) (result i32)
    (i32.store (local.get $count) (i32.const 0))
    (i32.store (local.get $bytes) (i32.const 0))
    (i32.const 0)))
