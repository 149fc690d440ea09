// Package devnet runs a real Hyperledger Fabric consortium as local processes, without Docker: four to ten
// hospitals with one peer each, four to seven BFT (SmartBFT) orderers, TLS between all of them, one channel,
// and the contract as a service, one process per hospital.
//
// Up makes or restarts the network in a folder, Load attaches to one that lies there. The folder keeps
// everything (keys, ledgers, logs), so that a network stopped and started again is the same network with the
// same ports; Down with purge removes it. Folder layout:
//
//	network.json              topology, ports, settings; no secrets
//	channel/                  configtx.yaml, genesis.block, contract package
//	consortium/               SM2 authority (sm2-ca.crt, .key), gateway TLS authority (tls-ca.crt, .key), identity.key
//	orderers/o1/              MSP, TLS, orderer.yaml, ledger, write-ahead log
//	hospitals/h1/msp          the organisation's MSP (authority certificates)
//	hospitals/h1/peer/        MSP, TLS, core.yaml, ledger
//	hospitals/h1/{admin,client}/msp   Fabric identities
//	hospitals/h1/contract/    TLS of the contract process and its connection.json
//	hospitals/h1/sm2/         sign.crt, sign.key, enc.crt, enc.key
//	hospitals/h1/gateway-tls/ tls.crt, tls.key, ca.crt for HTTPS between institutions
//	logs/                     one file per process
//
// A supervisor process owns all others (see internal/supervisor): none of them outlives it, and it does not
// outlive the program that called Up, unless Options.Detached is set.
//
// The keys are plain files with mode 0600 and the authorities lie beside the members' keys: this network is
// for development, tests and demonstrations, not for patients' data.
package devnet
