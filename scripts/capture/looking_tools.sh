# For the scripts beside it: `say`, `run`, `wait_for`. They set $out.

say() {
  name=$1
  shift
  for form in txt xml; do
    flag=
    [ $form = xml ] && flag=--xml
    {
      echo "# gluster $*"
      gluster --mode=script $flag "$@" 2>/mnt/stderr
      code=$?
      [ -s /mnt/stderr ] && echo "[stderr]" && cat /mnt/stderr
      echo "[exit $code]"
    } >"$out/$name.$form"
  done
}
run() {
  gluster --mode=script "$@" >/dev/null || echo "failed: $*" >&2
}
wait_for() { # until the command succeeds, 20 seconds at most
  left=100
  until "$@" >/dev/null 2>&1; do
    left=$((left - 1))
    [ $left = 0 ] && echo "never: $*" >&2 && return
    sleep 0.2
  done
}
