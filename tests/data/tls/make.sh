#!/bin/sh
# Certificates for tests/https_server.py, for tests alone: the keys are public.
#   ca.pem        the authority that the tests trust
#   good.pem      localhost and 127.0.0.1, signed by it, valid 2001 to 2126
#   expired.pem   the same, valid in January 2001 only
#   other.pem     signed by it too, for another name
#   alone.pem     localhost, signed by itself
set -e
cd "$(dirname "$0")"
from='-startdate 20010101000000Z'
till='-enddate 21260101000000Z'
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }

# sign NAME SUBJECT-ALT-NAMES OPTIONS...
sign() {
	name=$1
	san=$2
	shift 2
	key "$tmp/$name.key"
	printf 'subjectAltName=%s\nbasicConstraints=CA:FALSE\n' "$san" >"$tmp/ext"
	openssl req -new -key "$tmp/$name.key" -subj "/CN=jielong test $name" |
		openssl ca -batch -notext -md sha256 -keyfile "$tmp/ca.key" \
			-cert ca.pem -config "$tmp/ca.conf" -in /dev/stdin \
			-extfile "$tmp/ext" -out "$tmp/$name.pem" "$@"
	cat "$tmp/$name.pem" "$tmp/$name.key" >"$name.pem"
}
cat >"$tmp/ca.conf" <<EOF
[ca]
default_ca = d
[d]
new_certs_dir = $tmp
database = $tmp/index
rand_serial = yes
policy = p
[p]
commonName = supplied
EOF
: >"$tmp/index"
# self NAME SUBJECT EXTENSION: signed by itself
self() {
	key "$tmp/$1.key"
	printf '%s\n' "$3" >"$tmp/ext"
	openssl req -new -key "$tmp/$1.key" -subj "$2" >"$tmp/req"
	openssl ca -batch -notext -md sha256 -selfsign -keyfile "$tmp/$1.key" \
		-config "$tmp/ca.conf" -in "$tmp/req" -extfile "$tmp/ext" \
		-out "$tmp/$1.pem" $from $till
}
self ca '/CN=jielong test authority' 'basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign
subjectKeyIdentifier=hash'
cp "$tmp/ca.pem" ca.pem
sign good 'DNS:localhost,IP:127.0.0.1' $from $till
sign expired 'DNS:localhost,IP:127.0.0.1' $from -enddate 20010131000000Z
sign other 'DNS:elsewhere.invalid' $from $till
self alone '/CN=localhost' 'subjectAltName=DNS:localhost'
cat "$tmp/alone.pem" "$tmp/alone.key" >alone.pem
