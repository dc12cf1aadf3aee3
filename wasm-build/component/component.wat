;; The wiring of the component; README.md has the picture. build.mjs puts the types and imports of the world in the first place,
;; and the bytes of the three core modules in theirs.
(component
  ;; world: $failure and the import $chatsdk:abi/module-host@1.0.0

  (core module $core)
  (core module $doors)
  (core module $adapter)

  ;; What the core imports must exist before the core does, and needs the core's memory. So there are doors, which open once the
  ;; adapter behind them is there.
  (core instance $doors (instantiate $doors))
  (core instance $core (instantiate $core
    (with "chatsdk" (instance $doors))
    (with "wasi_snapshot_preview1" (instance $doors))))
  (alias core export $core "memory" (core memory $memory))

  (core func $host-call (canon lower
    (func $chatsdk:abi/module-host@1.0.0 "host-call")
    (memory $memory) (realloc (core func $doors "realloc")) string-encoding=utf8))
  (core instance $adapter (instantiate $adapter
    (with "core" (instance $core))
    (with "doors" (instance $doors))
    (with "host" (instance (export "host-call" (func $host-call))))))

  (func $call (param "method" u32) (param "request" (list u8)) (result (result (list u8) (error $failure)))
    (canon lift (core func $adapter "call")
      (memory $memory) (realloc (core func $adapter "realloc")) (post-return (core func $adapter "after-call")) string-encoding=utf8))
  ;; An exported instance must name its types as its own; only a component of its own can do that.
  (alias export $chatsdk:abi/types@1.0.0 "error-code" (type $error-code))
  (component $named
    (alias outer 1 $error-code (type $codes))
    (import "error-code" (type $error-code (eq $codes)))
    (type $fields (record (field "code" $error-code) (field "message" string) (field "retryable" bool)))
    (import "failure" (type $failure (eq $fields)))
    (import "call" (func $call (param "method" u32) (param "request" (list u8)) (result (result (list u8) (error $failure)))))
    (export $exported "failure" (type $failure))
    (export "call" (func $call)
      (func (param "method" u32) (param "request" (list u8)) (result (result (list u8) (error $exported))))))
  (instance $core-module (instantiate $named
    (with "error-code" (type $error-code))
    (with "failure" (type $failure))
    (with "call" (func $call))))
  (export "chatsdk:abi/core-module@1.0.0" (instance $core-module)))
