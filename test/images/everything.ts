/** For bash in an empty folder: one of each thing that a tree can have. Needs root, attr and libcap2-bin or attr alone. */
export const everything = `
umask 022
mkdir -p a/b/c "with space" sticky ümläut; chmod 1777 sticky; chmod 0555 a/b
echo data > a/file; chmod 4755 a/file; ln a/file a/b/hard; ln -s ../file a/b/soft; ln -s /etc/abs dangling
mkfifo fifo; ln fifo a/fifo2; mknod null c 1 3; mknod disk b 259 70000; chmod 640 null
head -c 3000000 /dev/urandom > big; truncate -s 10M hole; echo end >> hole; truncate -s 5M allhole
truncate -s 1M sparse; printf x | dd of=sparse bs=1 seek=70000 conv=notrunc 2>/dev/null
printf $'line\\nbreak' > $'new\\nline'; printf 1 > ümläut/ß
chown 1234:70000 big; chown 3000000:4000000000 a/b/c; chown -h 12:34 dangling; : > empty
long=$(printf 'n%.0s' $(seq 200)); mkdir $long; echo 1 > $long/$long; ln -s $long/$long longlink
setfattr -n user.note -v "a value" a/file; setfattr -n trusted.own -v x sticky
setcap cap_net_raw+ep empty 2>/dev/null || setfattr -n security.capability -v 0sAQAAAgAgAAAAAAAAAAAAAAAAAAA= empty
touch -d '1969-12-31 23:00:00.25 UTC' old; touch -d '2100-01-02 03:04:05.123456789 UTC' new
touch -d '2001-01-01 UTC' a/b a sticky .
`;
