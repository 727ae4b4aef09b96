import { attack } from './suite'

attack('both', ['ES256', 'EdDSA'])
