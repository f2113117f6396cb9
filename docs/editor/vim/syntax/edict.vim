" Vim syntax file
" Language: edict (https://crates.io/crates/scx_edict)
" Written by `EDICT_BLESS=1 cargo test --test editor`; change tests/editor.rs instead.

if exists("b:current_syntax")
  finish
endif

syntax iskeyword @,48-57,_,-,.

syntax keyword edictDeclaration balance bounds const include language learn lottery model override policy reward rules set task test tier use
syntax keyword edictControl when otherwise for within expect by
syntax keyword edictOperator and or not starts with ends with in in under like matches contains
syntax keyword edictBoolean true false
syntax keyword edictAttribute group_leader runtime_avg parent.comm runtime_dev switch_rate on_battery wake_rate container sleep_avg imbalance cpu_util kthread cmdline lat_cri psi.cpu cgroup ns.pid comm nice tgid ppid user unit load ncpu node exe uid pid gid age llc
syntax match edictNumber "\%([A-Za-z0-9_]\|[A-Za-z0-9_][-.]\)\@<!\d[0-9_]*\%(%\|\%(KiB\|MiB\|GiB\|ns\|us\|ms\|s\|B\)[A-Za-z0-9_]\@!\)\?"
syntax match edictLabel "\<[A-Za-z_][A-Za-z0-9_-]*\ze\s*:"
syntax match edictField "\<[A-Za-z_][A-Za-z0-9_.-]*\ze\s*=\%([^=>]\|$\)"
syntax match edictChoice "\<order\s*=\s*lottery\>" contains=edictField
syntax match edictTier "\%(->\s*\)\@<=[A-Za-z_][A-Za-z0-9_-]*"
syntax match edictArrow "->"
syntax region edictText start=+"+ skip=+\\.+ end=+"+ oneline contains=edictEscape
syntax match edictEscape contained +\\\%(["\\nt]\|u{\x\{1,6}}\)+
syntax match edictComment "#.*$" contains=edictTodo,@Spell
syntax keyword edictTodo contained TODO FIXME XXX

highlight default link edictDeclaration Structure
highlight default link edictControl Conditional
highlight default link edictOperator Operator
highlight default link edictBoolean Boolean
highlight default link edictAttribute Identifier
highlight default link edictNumber Number
highlight default link edictLabel Label
highlight default link edictField Type
highlight default link edictTier Function
highlight default link edictArrow Operator
highlight default link edictText String
highlight default link edictEscape SpecialChar
highlight default link edictComment Comment
highlight default link edictTodo Todo

let b:current_syntax = "edict"
