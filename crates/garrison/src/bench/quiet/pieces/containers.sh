#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

# Containers as podman, buildah and the runtimes below them make them; without a network of their own.
export BUILDAH_ISOLATION=chroot CONTAINERS_STORAGE_CONF=/root/storage.conf
printf '[storage]\ndriver = "vfs"\ngraphroot = "/srv/containers"\nrunroot = "/run/quiet-containers"\n' >/root/storage.conf
mkdir -p /root/image/{bin,etc,tmp} /etc/containers /var/tmp
cp "$(command -v busybox)" /root/image/bin/busybox
for name in sh ls id echo cat sleep wget adduser nc; do ln -sf busybox "/root/image/bin/$name"; done
echo 'root:x:0:0::/:/bin/sh' >/root/image/etc/passwd
tar -C /root/image -cf /root/image.tar .
test -e /etc/containers/policy.json || echo '{"default": [{"type": "insecureAcceptAnything"}]}' >/etc/containers/policy.json
# Straight from the runtime.
for runtime in crun runc; do
    command -v "$runtime" >/dev/null || continue
    bundle=/srv/bundle-$runtime
    mkdir -p "$bundle/rootfs" && tar -C "$bundle/rootfs" -xf /root/image.tar
    (cd "$bundle" && "$runtime" spec && sed -i 's/"terminal": true/"terminal": false/; s/"sh"/"sh", "-c", "id; ls \/; echo from inside"/' config.json)
    (cd "$bundle" && "$runtime" run "quiet-$runtime" </dev/null) || echo "$runtime does not work here"
    # Without root.
    mkdir -p "/home/dana/bundle-$runtime/rootfs" && tar -C "/home/dana/bundle-$runtime/rootfs" -xf /root/image.tar && chown -R dana: "/home/dana/bundle-$runtime"
    runuser -u dana -- sh -c "cd ~dana/bundle-$runtime && $runtime spec --rootless && sed -i 's/\"terminal\": true/\"terminal\": false/; s/\"sh\"/\"sh\", \"-c\", \"id; ls\"/' config.json && $runtime --root /tmp/run-dana-$runtime run quiet-$runtime </dev/null" || echo "$runtime does not work without root here"
done
if command -v buildah >/dev/null; then
    printf 'FROM scratch\nADD image.tar /\nRUN echo built >/built\nENTRYPOINT ["/bin/sh"]\n' >/root/Containerfile
    buildah bud --isolation chroot -q -t shop -f /root/Containerfile /root || echo "buildah does not work here"
    it=$(buildah from shop 2>/dev/null || true)
    if [ -n "$it" ]; then buildah run --isolation chroot "$it" -- /bin/sh -c 'id; cat /built' || true; buildah rm "$it"; fi
fi
if command -v podman >/dev/null; then
    podman import -q /root/image.tar plain || echo "podman does not import here"
    run="--cgroups=disabled --network=none --rm --security-opt seccomp=unconfined"
    # shellcheck disable=SC2086
    podman run $run plain sh -c 'id; ls /; echo data >/tmp/x' || echo "podman does not run here"
    # shellcheck disable=SC2086
    if podman run -d --name web $run plain sleep 60; then
        podman exec web sh -c 'id; cat /etc/passwd' || true
        podman cp /etc/hostname web:/tmp/hostname || true
        podman logs web; podman top web || true
        podman kill web
    fi
    podman images
    podman rmi -f plain shop || true
fi
