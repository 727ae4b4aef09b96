import { attack } from './suite'

attack('cookie', ['ES256', 'EdDSA'])
