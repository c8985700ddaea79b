;; Session rules whose `normalize` does what a test puts in place of BODY.
(component
  (type $types (instance
    (type $db-error' (record
      (field "code" (option string)) (field "message" string) (field "table" (option string))
      (field "constraint" (option string)) (field "column" (option string))))
    (export "db-error" (type $db-error (eq $db-error')))
    (type $error' (variant
      (case "not-found" string) (case "denied" string) (case "invalid" string) (case "conflict" $db-error)
      (case "database" $db-error) (case "limit" string) (case "unavailable" string) (case "timeout") (case "other" string)))
    (export "error" (type (eq $error')))
    (type $session-facts' (record
      (field "now" u64) (field "expires-at" u64) (field "owner-alive" bool) (field "claimed" bool)
      (field "same-claimer" bool) (field "done" bool)))
    (export "session-facts" (type (eq $session-facts')))
    (type $verdict' (variant
      (case "admit") (case "renew") (case "already-used") (case "expired") (case "owner-gone") (case "other" string)))
    (export "verdict" (type (eq $verdict')))))
  (import "tombolo:sync/types@0.1.0" (instance $types' (type $types)))
  (alias export $types' "error" (type $error))
  (alias export $types' "session-facts" (type $session-facts))
  (alias export $types' "verdict" (type $verdict))

  (import "wasi:io/error@0.2.6" (instance $io-error (export "error" (type (sub resource)))))
  (alias export $io-error "error" (type $stream-failure))
  (import "wasi:io/streams@0.2.6" (instance $streams
    (export "output-stream" (type $output-stream (sub resource)))
    (alias outer 1 $stream-failure (type $failure))
    (export "error" (type $failure' (eq $failure)))
    (type $stream-error' (variant (case "last-operation-failed" (own $failure')) (case "closed")))
    (export "stream-error" (type $stream-error (eq $stream-error')))
    (export "[method]output-stream.blocking-write-and-flush" (func
      (param "self" (borrow $output-stream)) (param "contents" (list u8)) (result (result (error $stream-error)))))))
  (alias export $streams "output-stream" (type $output-stream))
  (import "wasi:cli/stderr@0.2.6" (instance $stderr
    (alias outer 1 $output-stream (type $stream))
    (export "output-stream" (type $stream' (eq $stream)))
    (export "get-stderr" (func (result (own $stream'))))))
  (import "wasi:cli/exit@0.2.6" (instance $exit (export "exit" (func (param "status" (result))))))

  (core module $memory (memory (export "memory") 1))
  (core instance $memory (instantiate $memory))
  (core func $write (canon lower (func $streams "[method]output-stream.blocking-write-and-flush")
    (memory (core memory $memory "memory"))))
  (core func $get-stderr (canon lower (func $stderr "get-stderr")))
  (core func $exit (canon lower (func $exit "exit")))

  (core module $code
    (import "host" "memory" (memory 1))
    (import "host" "write" (func $write (param i32 i32 i32 i32)))
    (import "host" "get-stderr" (func $get-stderr (result i32)))
    (import "host" "exit" (func $exit (param i32)))
    (data (i32.const 2048) "panicked at src/lib.rs:1:2: \1b[31mthe end")
    ;; Up to 4096 bytes of standard error at an address.
    (global $handle (mut i32) (i32.const 0))
    (func $say (param $at i32) (param $length i32)
      (if (i32.eqz (global.get $handle)) (then (global.set $handle (call $get-stderr))))
      (call $write (global.get $handle) (local.get $at) (local.get $length) (i32.const 64)))
    (func $recurse (param i32) (result i32)
      (i32.add (call $recurse (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "normalize") (param i32 i32) (result i32)
      (local $turns i32)
      BODY)
    (func (export "new-code") (param i32 i32) (result i32) unreachable)
    (func (export "decide") (param i64 i64 i32 i32 i32 i32) (result i32) unreachable))
  (core instance $code (instantiate $code (with "host" (instance
    (export "memory" (memory $memory "memory"))
    (export "write" (func $write))
    (export "get-stderr" (func $get-stderr))
    (export "exit" (func $exit))))))

  (func $normalize (param "code" string) (result (result string (error $error)))
    (canon lift (core func $code "normalize") (memory (core memory $memory "memory")) (realloc (core func $code "realloc"))))
  (func $new-code (param "entropy" (list u8)) (result (result string (error $error)))
    (canon lift (core func $code "new-code") (memory (core memory $memory "memory")) (realloc (core func $code "realloc"))))
  (func $decide (param "facts" $session-facts) (result (result $verdict (error $error)))
    (canon lift (core func $code "decide") (memory (core memory $memory "memory")) (realloc (core func $code "realloc"))))
  (instance $sessions
    (export "normalize" (func $normalize))
    (export "new-code" (func $new-code))
    (export "decide" (func $decide)))
  (export "tombolo:sync/sessions@0.1.0" (instance $sessions)))
