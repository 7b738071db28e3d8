#!/bin/sh
# try.sh PROGRAM: the version, the doctor and three seconds of a watch; exits with 0 if all of that worked.
# It runs natively, in a chroot and in a guest: with a shell, sleep, grep and tail only.
P=$1
out=${TMPDIR:-/tmp}/cnctl-watch.$$
"$P" --version || exit 1
"$P" doctor
[ $? -le 1 ] || exit 1
"$P" watch > "$out" 2>&1 &
pid=$!
tries=0
until grep -q '^Time' "$out"; do
  tries=$((tries + 1))
  [ $tries -le 600 ] || { cat "$out"; exit 1; }
  sleep 0.2
done
for i in 1 2 3 4 5 6; do
  /bin/true
  sleep 0.5
done
kill -TERM $pid
wait $pid
status=$?
tail -n 4 "$out"
grep -q ' exec .*true' "$out" || status=1
rm -f "$out"
exit $status
