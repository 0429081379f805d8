#!/bin/sh
# Records what a real API server sends for the objects of objects.json, in both encodings: one list and one watch per kind.
# Needs what `lab build` leaves in ~/.cache/csi-sidecars (or LAB_CACHE), openssl and curl; takes ports 52379, 52380 and 56443.
set -eu
cache=${LAB_CACHE:-$HOME/.cache/csi-sidecars}
kubernetes=$(ls -d "$cache"/kubernetes-v* | sort -V | tail -n 1)
etcd=$(ls -d "$cache"/etcd-v* | sort -V | tail -n 1)
data=$(cd "$(dirname "$0")" && pwd)
server=https://127.0.0.1:56443
work=$(mktemp -d)
trap 'kill -9 $processes 2>/dev/null; wait; rm -rf "$work"' EXIT
cd "$work"

peer=http://127.0.0.1:52380
"$etcd/etcd" --data-dir="$work/etcd" --unsafe-no-fsync --log-level=error --initial-cluster=default=$peer \
    --listen-client-urls=http://127.0.0.1:52379 --advertise-client-urls=http://127.0.0.1:52379 \
    --listen-peer-urls=$peer --initial-advertise-peer-urls=$peer >etcd.log 2>&1 &
processes=$!
openssl genrsa -out sa.key 2048 2>/dev/null
echo 'recorder,admin,admin,"system:masters"' >tokens.csv
"$kubernetes/kube-apiserver" --etcd-servers=http://127.0.0.1:52379 --secure-port=56443 --bind-address=127.0.0.1 \
    --advertise-address=127.0.0.1 --cert-dir="$work" --token-auth-file=tokens.csv --authorization-mode=RBAC \
    --service-account-issuer=https://kubernetes.default.svc --service-account-key-file=sa.key \
    --service-account-signing-key-file=sa.key --service-cluster-ip-range=10.96.0.0/16 \
    --feature-gates=CrossNamespaceVolumeDataSource=true >apiserver.log 2>&1 &
processes="$processes $!"

get() { curl --silent --insecure --fail --max-time 20 --header "Authorization: Bearer recorder" "$@"; }
kubectl() { "$kubernetes/kubectl" --server=$server --token=recorder --insecure-skip-tls-verify "$@"; }
until get $server/readyz >/dev/null && kubectl get namespace default >/dev/null 2>&1; do
    kill -0 $processes || { cat etcd.log apiserver.log; exit 1; }
    sleep 0.2
done

kubectl create serviceaccount default >/dev/null
kubectl create --filename="$data/objects.json" >/dev/null
kubectl replace --subresource=status --filename="$data/statuses.json" >/dev/null
kubectl delete --wait=false persistentvolume/leaving node/n-1 >/dev/null

# The version of a list of classes, which every write makes newer.
classes=/apis/storage.k8s.io/v1/volumeattributesclasses
version() { get "$server$classes?pretty=false" | sed 's/.*"metadata":{"resourceVersion":"\([0-9]*\)"}.*/\1/'; }

# Path, name of the files. Tried again if the server wrote something meanwhile, so that both encodings show the same.
record() {
    before=$(version)
    for encoding in protobuf json; do
        case $encoding in
        protobuf) accept=application/vnd.kubernetes.protobuf,application/json ;;
        json) accept=application/json ;;
        esac
        get --header "Accept: $accept" "$server$1?pretty=false" --output "$data/$2.list.$encoding"
        streaming='watch=true&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan'
        get --header "Accept: $accept" "$server$1?$streaming&timeoutSeconds=1" --output "$data/$2.watch.$encoding"
    done
    test "$before" = "$(version)" || record "$1" "$2"
}
record /api/v1/persistentvolumes volumes
record /api/v1/persistentvolumeclaims claims
record /api/v1/pods pods
record /api/v1/nodes nodes
record /apis/storage.k8s.io/v1/volumeattachments attachments
record /apis/storage.k8s.io/v1/csinodes csinodes
record /apis/storage.k8s.io/v1/storageclasses classes
record /apis/storage.k8s.io/v1/volumeattributesclasses attributesclasses

# Changes, a deletion, a refusal.
version=$(version)
kubectl annotate volumeattributesclass gold changed=yes >/dev/null
kubectl patch volumeattributesclass gold --patch='{"metadata": {"finalizers": null}}' >/dev/null
kubectl delete volumeattributesclass gold >/dev/null
for encoding in protobuf json; do
    accept=application/$(test $encoding = json || echo vnd.kubernetes.)$encoding
    query="watch=true&timeoutSeconds=1&resourceVersion=$version"
    get --header "Accept: $accept" "$server$classes?$query" --output "$data/changes.watch.$encoding"
    curl --silent --insecure --header "Authorization: Bearer recorder" --header "Accept: $accept" \
        "$server$classes?watch=true&sendInitialEvents=true" --output "$data/refused.status.$encoding"
done
