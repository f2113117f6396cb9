au BufRead,BufNewFile *.edict setfiletype edict
