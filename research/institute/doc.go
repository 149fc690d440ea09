// Package institute is the research institute's side of a project: its folder of keys, the
// statements that it signs, and the admission by the consortium authority. An institute
// needs no identity on the ledger's network and no right in any hospital.
//
//	institute.json             id, name and the address of the proxy hospital's gateway
//	sign.key, sign.crt         SM2 pair: statements
//	encrypt.key, encrypt.crt   SM2 pair: datasets are sealed to it
//	tls.key, tls.crt           ECDSA P-256 pair: calls to the proxy hospital
//	*.csr                      certificate requests, PKCS#10
//	authority.crt              the consortium's SM2 authority, by which the ledger is judged
//	gateway-ca.crt             authority of the hospitals' gateways
//
// The folder is its owner's alone (mode 0700, keys 0600): whoever reads it is the institute.
package institute
