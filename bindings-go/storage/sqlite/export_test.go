package sqlite

// Schema is what the tests compare with the TypeScript SDK's.
const Schema = schema
